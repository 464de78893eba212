import { setTimeout as delay } from 'node:timers/promises'
import type pg from 'pg'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { EventContentError } from '../../../src/base/failure.ts'
import { createPool } from '../../../src/db/pool.ts'
import { together } from '../../../src/db/transaction.ts'
import type { Consumer } from '../../../src/notify/outbox/consume.ts'
import { Dispatcher } from '../../../src/notify/outbox/dispatcher.ts'
import { lanesWithWork } from '../../../src/notify/outbox/read.ts'
import { cloneDatabase, eventually } from '../../setup.ts'
import { sized } from '../../size.ts'

/** Bursts of writing and silences of more than a second, in which positions move that hold open transactions. */
const ROUNDS = Number(process.env.STORM_ROUNDS ?? sized(2, 1))
const WRITERS = 10
const TRANSACTIONS = 15
const SILENCE_MS = 1300
/** More than a pass and a batch take, so that windows are read in pieces. */
const BURST = 1700

t.setTimeout(120_000)

const log = pino({ level: 'silent' })
const chance = (part: number) => Math.random() < part

/**
 * Writes a row per event in the transaction that moves the position; no constraint prevents a second one. A slow statement is
 * sent together with it, so that kills and cancellations often hit the middle. Sometimes fails by itself.
 */
function noteIn(table: 'seen' | 'counted'): Consumer {
  return async (client, events) => {
    const noted = client.query({
      name: `note_${table}`,
      text: `insert into public.${table} select unnest($1::bigint[])`,
      values: [events.map((event) => event.id)],
    })
    const lasts = client.query('select pg_sleep($1)', [chance(0.2) ? 0.05 * Math.random() : 0])
    await together([noted, lasts])
    // Of no event's content, so nothing may be set aside for it.
    if (chance(0.03)) throw Object.assign(new Error('the process has a bad moment'), { code: '40001' })
    const bad = events.find((event) => event.sourceId.startsWith('bad'))
    if (bad) throw new EventContentError(`nothing can be made of event ${bad.id}`)
    return []
  }
}

async function openLog(t: Test) {
  const url = await cloneDatabase(t)
  const openPool = (name: string, size: number) => {
    const pool = createPool({ url, size, log, name, settings: '-c lock_timeout=5s' })
    t.teardown(() => pool.end())
    return pool
  }
  const pool = openPool('test', 20)
  await pool.query('create table public.seen (event_id bigint); create table public.counted (event_id bigint)')
  return { pool, openPool }
}

const append = `insert into notify.outbox (action, counted, source_id, type, recipient_id, critical)
  select 'send', i = 1, case when $1 then 'bad' else 'good' end || ':' || gen_random_uuid(), 'system', 1 + floor(random() * 500), $2
  from generate_series(1, $3::int) i`

/** One transaction: savepoints kept and rolled back, some of it critical, some of it slow, some rolled back as a whole. */
async function write(pool: pg.Pool, lastsMs: number): Promise<void> {
  const client = await pool.connect().catch(() => undefined)
  if (!client) return
  try {
    await client.query('begin')
    const events = () => {
      const count = chance(0.01) ? BURST : 1
      // Not a bad burst: more than ten bad events in a row pause their lane, for half a minute in the end.
      return client.query(append, [count === 1 && chance(0.01), chance(0.05), count])
    }
    if (chance(0.8)) await events()
    for (const end of ['rollback to', 'release'])
      if (chance(0.3)) {
        await client.query('savepoint s')
        await events()
        await client.query(`${end} savepoint s`)
      }
    await delay(lastsMs)
    if (chance(0.2)) await events()
    await client.query(chance(0.1) ? 'rollback' : 'commit')
    client.release()
  } catch {
    // Killed or cancelled: only the log shows whether the transaction committed.
    client.release(true)
  }
}

/** Runs again and again until it is stopped, whether it succeeds or fails. */
async function keep(going: () => boolean, everyMs: number, work: () => Promise<unknown>): Promise<void> {
  while (going()) {
    await work().catch(() => undefined)
    await delay(everyMs * 2 * Math.random())
  }
}

/** Terminates connections during their work: mostly those of dispatchers, and some of writers. */
const strike = (how: 'terminate' | 'cancel') => `
  select pg_${how}_backend(pid) from pg_stat_activity
  where datname = current_database() and pid <> pg_backend_pid() and application_name in ('ravenpost dispatcher', 'ravenpost writer')
    and state <> 'idle' and random() < case application_name when 'ravenpost writer' then 0.02 else 0.2 end`

/** A lane in others' hands for a while, as by the dispatcher of a process that was stopped. */
const holdLanes = `
  with held as materialized (select from notify.positions where random() < 0.4 for update skip locked)
  select pg_sleep(0.3 * random()) from (select count(*) from held) h`

t.test('under heavy load each consumer reads every committed event exactly once', async (t) => {
  const { pool, openPool } = await openLog(t)
  const writers = openPool('writer', 2 * WRITERS)
  let storming = true
  const going = () => storming

  const startDispatcher = () => {
    const consumers = { notifications: noteIn('seen'), counters: noteIn('counted') }
    return new Dispatcher(openPool('dispatcher', 8), log, consumers, () => {})
  }
  const dispatchers = [startDispatcher(), startDispatcher(), startDispatcher()]
  const working = dispatchers.flatMap((dispatcher) => [
    keep(going, 5, async () => dispatcher.wake()),
    keep(going, 100, async () => dispatcher.idleAmong(await lanesWithWork(pool)).length > 0 && dispatcher.wake()),
    keep(going, 300, () => dispatcher.run()),
  ])
  const striking = [
    keep(going, 40, () => pool.query(strike('terminate'))),
    keep(going, 20, () => pool.query(strike('cancel'))),
    keep(going, 400, () => pool.query(holdLanes)),
  ]

  const slow: Promise<void>[] = []
  for (let round = 0; round < ROUNDS; round++) {
    // These are open through the silence, and some of them through the next one.
    for (let i = 0; i < WRITERS; i++) slow.push(write(writers, SILENCE_MS * (0.5 + 2 * Math.random())))
    const burst = async () => {
      for (let i = 0; i < TRANSACTIONS; i++) await write(writers, chance(0.1) ? 200 * Math.random() : 0)
    }
    await Promise.all(Array.from({ length: WRITERS }, burst))
    await delay(SILENCE_MS)
  }
  await Promise.all(slow)
  storming = false
  await Promise.all([...working, ...striking])
  await Promise.all(dispatchers.map((dispatcher) => dispatcher.close()))

  // A lane that the storm stopped 15 times in a row would pause for half a minute, and again after each bad moment.
  await pool.query('update notify.positions set failures = 0, retry_at = null')
  const last = startDispatcher()
  await eventually(async () => {
    await last.run()
    return (await pool.query('select from ops.lag having sum(events) = 0')).rowCount
  }, 60)
  await last.close()

  for (const [consumer, table, which] of [
    ['notifications', 'seen', 'true'],
    ['counters', 'counted', 'counted and not critical'],
  ] as const) {
    const { rows } = await pool.query(
      `with due as (select id, source_id like 'bad:%' as bad from notify.outbox where ${which}),
         notified as (select event_id as id, count(*) as times from public.${table} group by 1),
         -- An event that was cancelled while it was alone in its batch is retried later, which this test does not run.
         aside as (
           select event_id as id, min(last_error) as why, bool_and(last_error like 'canceling statement%') as cancelled
           from notify.pending where consumer = $1 group by 1
         )
       select count(*) filter (where notified.id is null and not due.bad and not coalesce(aside.cancelled, false))::int as lost, count(*) filter (where notified.times > 1)::int as doubled,
         count(*) filter (where due.id is null)::int as "neverCommitted",
         array_agg(coalesce(aside.why, 'not set aside')) filter (
           where (due.bad <> (aside.id is not null) and not coalesce(aside.cancelled, false)) or ((due.bad or aside.id is not null) and notified.id is not null))
           as "asideByMistake"
       from due full join notified using (id) full join aside using (id)`,
      [consumer],
    )
    t.same(rows, [{ lost: 0, doubled: 0, neverCommitted: 0, asideByMistake: null }], consumer)
  }
  const { rows } = await pool.query<{ events: number; bad: number }>(
    `select count(*)::int as events, count(*) filter (where source_id like 'bad:%')::int as bad from notify.outbox`,
  )
  t.ok(rows[0] && rows[0].events > 100 * ROUNDS, `${rows[0]?.events} events, ${rows[0]?.bad} of them bad`)
})
