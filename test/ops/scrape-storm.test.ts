import pg from 'pg'
import { test } from 'tap'
import { call } from '../client.ts'
import { patiently } from '../settled.ts'
import { eventually, setup } from '../setup.ts'

const SCRAPERS = 40

test('forty scrapers over a locked table cause one query and delay no request', async (t) => {
  const { url, as, pool, databaseUrl } = await setup(t)
  const ana = await as('ana')
  const holder = new pg.Client({ connectionString: databaseUrl })
  await holder.connect()
  t.teardown(() => holder.end())
  const observer = new pg.Client({ connectionString: databaseUrl })
  await observer.connect()
  t.teardown(() => observer.end())
  await holder.query('begin')
  await holder.query('lock table notify.pending, notify.migrations in access exclusive mode')

  const texts = Promise.all(Array.from({ length: SCRAPERS }, () => call(url, 'GET', '/metrics')))
  const readiness = Promise.all(Array.from({ length: SCRAPERS }, () => call(url, 'GET', '/readyz')))
  const waiting = async () => (await observer.query(WAITING)).rows.map((row) => row.name)
  await eventually(async () => (await waiting()).length >= 2)
  t.equal(pool.waitingCount, 0, 'no request waits for a connection')
  t.equal((await ana.request('GET', '/auth/me')).status, 200)
  t.same(await waiting(), ['ravenpost ops', 'ravenpost ops'], 'one statement of the scrapes, one of the probes')

  for (const { status, body } of await texts) {
    t.equal(status, 200)
    t.match(body, /^ravenpost_database_up 0$/m)
  }
  for (const { status } of await readiness) t.equal(status, 503)
  await eventually(async () => (await waiting()).length === 0)
  await holder.query('rollback')
  await eventually(async () => /^ravenpost_database_up 1$/m.test((await call(url, 'GET', '/metrics')).body))
  await eventually(async () => (await call(url, 'GET', '/readyz')).status === 200)
})

const WAITING = `select application_name as name from pg_stat_activity
  where datname = current_database() and wait_event_type = 'Lock' and query not like '%lock table%' order by 1`

test('metrics stop counting rows at a maximum', async (t) => {
  const { url, pool } = await setup(t)
  await patiently(pool, (client) =>
    client.query(
      `insert into notify.pending (consumer, event_id, event, attempts, dead_at)
       select 'notifications', n, '{}', 1, case when n > 100020 then now() end from generate_series(1, 200040) n`,
    ),
  )
  const { body } = await call(url, 'GET', '/metrics')
  t.match(body, /^ravenpost_pending_events 100000$/m)
  t.match(body, /^ravenpost_dead_letters 100000$/m)
})
