import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import pg from 'pg'
import { pino } from 'pino'
import { type Test, test } from 'tap'
import { createPool, openPools } from '../../src/db/pool.ts'
import { createJobPool } from '../../src/worker/job-pool.ts'
import { cloneDatabase, eventually, setup } from '../setup.ts'

const log = pino({ level: 'silent' })

/** Statements that the server runs for connections of this name. */
async function running(t: Test, url: string, name: string): Promise<() => Promise<number>> {
  const observer = new pg.Client({ connectionString: url })
  await observer.connect()
  t.teardown(() => observer.end())
  return async () => {
    const { rowCount } = await observer.query(
      `select from pg_stat_activity where datname = current_database() and application_name = $1 and state = 'active'`,
      [`ravenpost ${name}`],
    )
    return rowCount ?? 0
  }
}

test('the server cancels a statement before its client times out', async (t) => {
  const url = await cloneDatabase(t)
  const count = await running(t, url, 'slow')
  const pool = createPool({ url, size: 1, log, name: 'slow', queryTimeoutMs: 3000 })
  t.teardown(() => pool.end())
  await t.rejects(pool.query('select pg_sleep(60)'), { code: '57014' })
  // The server shows a statement as active for a moment after its error.
  await eventually(async () => (await count()) === 0)
  t.match((await pool.query('select 1 as n')).rows, [{ n: 1 }], 'the connection is of use still')
})

test('a statement that ends a job is retried after a timeout', async (t) => {
  const url = await cloneDatabase(t)
  const { pool } = createJobPool({ url, size: 1, log, name: 'slow', queryTimeoutMs: 500 })
  t.teardown(() => pool.end())
  await pool.query('create table public.tries (n int); create sequence public.tried')
  const client = await pool.connect()
  await client.query(`select case when nextval('public.tried') < 3 then pg_sleep(60) end`)
  t.match((await pool.query('select last_value::int as n from public.tried')).rows, [{ n: 3 }])
})

test('the statement of a killed client ends soon', async (t) => {
  const url = await cloneDatabase(t)
  const count = await running(t, url, 'killed')
  const child = fork(join(import.meta.dirname, 'sleeping-client.ts'), [url])
  const gone = once(child, 'exit')
  await eventually(async () => (await count()) === 1)
  child.kill('SIGKILL')
  await gone
  await eventually(async () => (await count()) === 0)
})

test('every pool has timeouts', async (t) => {
  const system = await setup(t, { worker: true, push: true })
  const names = new Set<string>()
  for (const [pool, name] of openPools) {
    if (pool.ended) continue
    names.add(name)
    const { rows } = await pool.query(
      `select name, setting::int as ms from pg_settings
       where name in ('statement_timeout', 'client_connection_check_interval') order by name`,
    )
    const given = pool.options.query_timeout ?? 0
    t.match(rows, [{ ms: 2000 }, {}], name)
    t.ok(rows[1]?.ms > 0 && rows[1]?.ms < given, `${name} ends statements after ${rows[1]?.ms} of ${given} ms`)
  }
  t.strictSame([...names].sort(), ['app', 'console', 'jobs', 'long reads', 'ops', 'push', 'worker'])
  t.ok(system)
})
