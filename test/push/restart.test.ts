import { mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import type { App } from '../../src/app.ts'
import { findBinaries } from '../../src/db/embedded/binaries.ts'
import { startEmbedded } from '../../src/db/embedded/embedded.ts'
import { chooseRunAs } from '../../src/db/embedded/run-as.ts'
import { startServer } from '../../src/db/embedded/server-process.ts'
import { migrate } from '../../src/migrate.ts'
import { dispatch } from '../notify/dispatch/events.ts'
import { eventually } from '../setup.ts'
import { sendTo, startNode, type TestUser } from './node.ts'

const log = pino({ level: 'silent' })

t.test('PostgreSQL restarts under load: sockets stay or reconnect, and nothing is lost', async (t) => {
  const postgres = await startPostgres(t)
  const node = await startNode(t, { databaseUrl: postgres.url })
  const users = [await node.user('ana'), await node.user('ben'), await node.user('eve')]
  const devices = users.flatMap((user) => [new Device(user), new Device(user)])
  const load = startLoad(node.app, users)

  for (let times = 0; times < 2; times += 1) {
    const before = devices.map((device) => device.ids.size)
    await eventually(() => devices.every((device, i) => device.ids.size > (before[i] ?? 0)))
    const restarted = postgres.restart()
    // A client that sends hello meanwhile gets the code to reconnect.
    devices.push(...users.map((user) => new Device(user)))
    await restarted
  }
  await load.finish()
  for (const { user, ids, codes } of devices) {
    const { rows } = await node.app.pool.query<{ id: string }>(
      'select id from notify.notifications where user_id = $1',
      [user.id],
    )
    await eventually(() => ids.size >= rows.length)
    t.same([...ids].sort(), rows.map(({ id }) => id).sort())
    t.ok(codes.every((code) => code === 1001))
  }
  t.ok(
    devices.slice(0, 6).every(({ codes }) => codes.length === 0),
    'who was connected stayed so',
  )
  await eventually(() => node.push.listenAlive())
})

/** Repeatedly creates notifications for all users, despite failures. `finish` returns when all written events are dispatched. */
function startLoad(app: App, users: TestUser[]): { finish(): Promise<void> } {
  let finishing = false
  const step = async () => {
    for (const { id } of users) await sendTo(app, id)
    await dispatch(app)
    return true
  }
  const running = eventually(async () => (await step().catch(() => false)) && finishing, 60)
  return {
    async finish() {
      finishing = true
      await running
    },
  }
}

/** A client that reconnects with its last state whenever its socket closes. */
class Device {
  readonly user: TestUser
  readonly ids = new Set<string>()
  readonly codes: number[] = []

  constructor(user: TestUser) {
    this.user = user
    void this.#connect()
  }

  async #connect(since?: string): Promise<void> {
    const socket = await this.user.connect(since === undefined ? {} : { since })
    socket.socket.on('message', () => {
      for (const id of socket.upserts) this.ids.add(id)
    })
    socket.socket.once('close', (code) => {
      this.codes.push(code)
      if (code === 1001) setTimeout(() => this.#connect(socket.state ?? since).catch(() => {}), 100)
    })
  }
}

/** A server of its own that can be restarted on its port. */
async function startPostgres(t: Test): Promise<{ url: string; restart(): Promise<void> }> {
  const dataDir = await realpath(await mkdtemp(join(tmpdir(), 'ravenpost-restart-')))
  t.teardown(() => rm(dataDir, { recursive: true, force: true }))
  const embedded = await startEmbedded(dataDir, log)
  await migrate(embedded.url, log)
  await embedded.stop()
  const { postgres } = await findBinaries()
  const cluster = join(dataDir, 'postgres')
  const runAs = await chooseRunAs(postgres, dataDir, log)
  const options = { postgres, cluster, port: Number(new URL(embedded.url).port), runAs, logFile: `${cluster}.log` }
  let server = await startServer(options)
  t.teardown(() => server.stop())
  return {
    url: embedded.url,
    async restart() {
      await server.stop()
      server = await startServer(options)
    },
  }
}
