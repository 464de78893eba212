import { setTimeout as delay } from 'node:timers/promises'
import type pg from 'pg'
import t, { type Test } from 'tap'
import { grantAdmin } from '../../../src/social/accounts/admin.ts'
import { startWorker } from '../../../src/worker/start.ts'
import { tasks } from '../../../workers/index.ts'
import { signIn, type TestClient } from '../../client.ts'
import { TestSocket } from '../../push/socket.ts'
import { noDrift, patiently, settled } from '../../settled.ts'
import { eventually, setup, type TestSystem } from '../../setup.ts'
import { sized } from '../../size.ts'
import { createPost } from '../../social/posts/write.ts'
import { AUTHOR, fillAudience } from './audience.ts'

/** `AUDIENCE=1000000` is the size of P6; a chunk is as large and a like as late in either. */
const AUDIENCE = Number(process.env.AUDIENCE ?? sized(60_000, 15_000))
/** Enough posts and recipients for the fan-outs to outlast the measurement. */
const POSTS = 3
const BACKLOG = sized(100_000, 20_000)
const BACKLOG_OF = 1000
const SAMPLES = sized(7, 2)
const FRAME_PAUSE_MS = 150

t.setTimeout(300_000)

t.test('an ordinary like and a critical event do not wait for a large fan-out', async (t) => {
  const system = await setup(t, { worker: true, push: true })
  await patiently(system.pool, (client) => fillAudience(client, AUDIENCE))
  const { like, critical } = await senders(t, system)
  const [idleLike, idleCritical] = await medians([like, critical])
  for (let post = 0; post < POSTS; post++)
    await createPost(system.app, { userId: AUTHOR, requestId: 'test' }, 'Hello, everybody')
  await eventually(() => anyOf(system.pool, 'post.published'))
  const fanningOut = async () =>
    (await system.pool.query('select from notify.fan_outs where finished_at is null limit 1')).rowCount === 1
  const [busyLike, busyCritical] = await medians([like, critical], fanningOut)
  show(t, 'a like', idleLike, busyLike)
  show(t, 'a critical event', idleCritical, busyCritical)
  await settled(system, 200)
  await noDrift(t, system)
})

t.test('a critical event does not wait for a backlog of events', async (t) => {
  const system = await setup(t, { push: true })
  await patiently(system.pool, (client) => fillAudience(client, BACKLOG_OF))
  const { critical } = await senders(t, system)
  const before = await startWorker(system.app, tasks)
  const [idle] = await medians([critical])
  await before.close()
  await patiently(system.pool, (client) =>
    client.query(
      `insert into notify.outbox (counted, action, source_id, type, recipient_id)
       select false, 'test', 'backlog:' || i, 'test.backlog', 1 + i % ${BACKLOG_OF} from generate_series(1, ${BACKLOG}) i`,
    ),
  )
  const worker = await startWorker(system.app, tasks)
  t.teardown(() => worker.close())
  await eventually(() => anyOf(system.pool, 'test.backlog'))
  await critical()
  const waiting = await backlog(system.pool)
  t.ok(waiting > BACKLOG / 4, `${waiting} or more of ${BACKLOG} events still wait when the first one has arrived`)
  const [busy] = await medians([critical], async () => (await backlog(system.pool)) > 0)
  show(t, 'a critical event', idle, busy)
})

/** Ways to notify Ana; each returns the milliseconds from the request to the frame on her socket. */
async function senders(t: Test, system: TestSystem) {
  const [ana, ben] = [await system.as('ana'), await system.as('ben')]
  await system.as('rita')
  await grantAdmin(system.pool, 'rita')
  const root = await signIn(system.url, 'rita')
  const socket = await TestSocket.open(t, `${system.url.replace('http', 'ws')}/ws`)
  socket.send({ type: 'hello', token: ana.accessToken })
  await socket.next('synced')
  const like = async () => {
    const { id } = await ana.post('Hello')
    return untilFrame(socket, () => ben.like(id))
  }
  return { like, critical: () => untilFrame(socket, () => sendCode(root, ana)) }
}

async function sendCode(sender: TestClient, { id: recipientId }: TestClient): Promise<void> {
  const words = { title: 'Your code', message: '123456', priority: 'critical' }
  const key = { 'idempotency-key': crypto.randomUUID() }
  const answer = await sender.request('POST', '/notifications/send', { recipientId, type: 'test.code', ...words }, key)
  if (answer.status !== 202) throw new Error(JSON.stringify(answer.body))
}

async function untilFrame(socket: TestSocket, act: () => Promise<unknown>): Promise<number> {
  const known = socket.of('changes').length
  const startedAt = performance.now()
  const frame = new Promise<number>((resolve) => {
    const look = () => {
      if (socket.of('changes').length === known) return
      socket.socket.off('message', look)
      resolve(performance.now() - startedAt)
    }
    socket.socket.on('message', look)
  })
  await act()
  return frame
}

/**
 * Of several in turn, after one of each that warms up; so far apart that none waits for the ten frames a second that a socket is
 * sent. Counts only what has arrived while `whilst` held.
 */
async function medians(measures: (() => Promise<number>)[], whilst = async () => true): Promise<number[]> {
  for (const measure of measures) await measure()
  const taken = measures.map((): number[] => [])
  for (let i = 0; i < SAMPLES; i++)
    for (const [index, measure] of measures.entries()) {
      await delay(FRAME_PAUSE_MS)
      const ms = await measure()
      if (await whilst()) taken[index]?.push(ms)
    }
  if (taken.some(({ length }) => length === 0))
    throw new Error('what was to be passed ended before anything was measured')
  return taken.map((times) => times.sort((a, b) => a - b)[times.length >> 1] ?? Number.NaN)
}

/** The test has checked the order of arrival. Benchmarks measure the time. */
function show(t: Test, what: string, idleMs = Number.NaN, busyMs = Number.NaN): void {
  t.comment(`${what}: ${Math.round(busyMs)} ms, with nothing before it ${Math.round(idleMs)} ms`)
}

/** Each lane is counted to a bound. */
async function backlog(pool: pg.Pool): Promise<number> {
  const { rows } = await pool.query<{ events: number }>(
    `select sum(events)::int as events from ops.lag where consumer = 'notifications'`,
  )
  return rows[0]?.events ?? 0
}

async function anyOf(pool: pg.Pool, type: string): Promise<boolean> {
  const { rowCount } = await pool.query('select from notify.notifications where type = $1 limit 1', [type])
  return rowCount === 1
}
