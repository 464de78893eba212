import { execFile } from 'node:child_process'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import { pino } from 'pino'
import type { Test } from 'tap'
import { findBinaries } from '../../src/db/embedded/binaries.ts'
import { makeCluster } from '../../src/db/embedded/cluster.ts'
import { freePort } from '../../src/db/embedded/free-port.ts'
import { chooseRunAs } from '../../src/db/embedded/run-as.ts'
import { migrate } from '../../src/db/migrate.ts'

const run = promisify(execFile)
const log = pino({ level: 'silent' })

/** A PostgreSQL of the test's own, always on the same port, with our schema in the database `postgres`. */
export type OwnPostgres = {
  url: string
  start(): Promise<void>
  /** `fast` ends the sessions and writes everything down; `immediate` is a crash: the next start replays the log. */
  stop(mode: 'fast' | 'immediate'): Promise<void>
}

export async function ownPostgres(t: Test): Promise<OwnPostgres> {
  const home = await mkdtemp(join(tmpdir(), 'ravenpost-restart-'))
  t.teardown(() => rm(home, { recursive: true, force: true }))
  const { initdb, postgres } = await findBinaries()
  const program = join(dirname(postgres), 'pg_ctl')
  await chmod(program, 0o755)
  const runAs = await chooseRunAs(postgres, home, log)
  const cluster = join(home, 'postgres')
  await makeCluster(cluster, 'password', initdb, runAs)
  const port = await freePort()
  const control = async (...args: string[]) => {
    const [command = '', ...rest] = [...runAs.prefix, program, '-D', cluster, '-w', ...args]
    await run(command, rest, { ...runAs.ids, cwd: '/' })
  }
  const settings = `-p ${port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=`
  const own: OwnPostgres = {
    url: `postgres://postgres:password@127.0.0.1:${port}/postgres`,
    start: () => control('-o', settings, '-l', join(cluster, 'log'), 'start'),
    stop: (mode) => control('-m', mode, 'stop'),
  }
  t.teardown(() => own.stop('fast').catch(() => {}))
  await own.start()
  await migrate(own.url, log)
  await gatherShortly(own.url)
  return own
}

/** These tests wait for what was done to be seen. */
async function gatherShortly(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query('update notify.types set window_seconds = 1 where window_seconds > 0')
  await client.end()
}
