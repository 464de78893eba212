import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { pino } from 'pino'
import type { Test } from 'tap'
import { Postgres, type Stop } from '../../faults/system/postgres.ts'
import { freePort } from '../../src/db/embedded/free-port.ts'
import { migrate } from '../../src/migrate.ts'

const log = pino({ level: 'silent' })

/** A PostgreSQL of the test's own, always on the same port, with our schema in the database `postgres`. */
export type OwnPostgres = { url: string; start(): Promise<void>; stop(how: Stop): Promise<void> }

export async function ownPostgres(t: Test): Promise<OwnPostgres> {
  const home = await mkdtemp(join(tmpdir(), 'ravenpost-restart-'))
  t.teardown(() => rm(home, { recursive: true, force: true }))
  const postgres = await Postgres.create(home, await freePort(), log)
  t.teardown(() => postgres.stop('fast'))
  const url = postgres.url('postgres')
  await migrate(url, log)
  await gatherShortly(url)
  return { url, start: () => postgres.start(), stop: (how) => postgres.stop(how) }
}

/** These tests wait until the effects are visible. */
async function gatherShortly(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query('update notify.types set window_seconds = 1 where window_seconds > 0')
  await client.end()
}
