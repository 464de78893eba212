import pg from 'pg'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import type { Consumer } from '../../../src/notify/outbox/consume.ts'
import { Dispatcher } from '../../../src/notify/outbox/dispatcher.ts'
import { cloneDatabase, eventually } from '../../setup.ts'
import { sized } from '../../size.ts'

const log = pino({ level: 'silent' })

/** Of each of twelve writers. */
const TRANSACTIONS = sized(150, 40)

/** A consumer whose effect is a row per event, in the transaction that moves the position; nothing keeps it from writing two. */
const note: Consumer = async (client, events) => {
  await client.query(
    'insert into public.seen (event_id, shard) select id, notify.shard_of(recipient) from unnest($1::bigint[], $2::bigint[]) e (id, recipient)',
    [events.map((event) => event.id), events.map((event) => event.recipientId)],
  )
  return []
}

type Log = { pool: pg.Pool; url: string; dispatcher: () => { dispatcher: Dispatcher; pool: pg.Pool } }

async function openLog(t: Test): Promise<Log> {
  const url = await cloneDatabase(t)
  const pools: pg.Pool[] = []
  const makePool = (max: number) => {
    const pool = new pg.Pool({ connectionString: url, max })
    pool.on('error', () => {})
    pool.on('connect', (client) => client.on('error', () => {}))
    pools.push(pool)
    return pool
  }
  const pool = makePool(30)
  t.teardown(() => Promise.all(pools.map((pool) => pool.end())))
  await pool.query('create table public.seen (event_id bigint not null, shard smallint)')
  const dispatcher = () => {
    const own = makePool(8)
    return {
      pool: own,
      dispatcher: new Dispatcher(own, log, { notifications: note, counters: async () => [] }, () => {}),
    }
  }
  return { pool, url, dispatcher }
}

const insert = `insert into notify.outbox (action, counted, source_id, type, recipient_id, critical)
  values ('send', true, gen_random_uuid()::text, 'system', $1, $2) returning id`

/** One transaction of a writer: events, some under a savepoint that is rolled back, some slow, some rolled back as a whole. */
async function write(pool: pg.Pool, random: () => number, committed: Set<string>): Promise<void> {
  const client = await pool.connect()
  const written: string[] = []
  const append = async () => {
    const { rows } = await client.query(insert, [Math.floor(random() * 500) + 1, random() < 0.05])
    return String(rows[0].id)
  }
  try {
    await client.query('begin')
    written.push(await append())
    if (random() < 0.2) {
      await client.query('savepoint s')
      await append()
      await client.query('rollback to savepoint s')
    }
    if (random() < 0.2) {
      await client.query('savepoint s')
      written.push(await append())
      await client.query('release savepoint s')
    }
    if (random() < 0.05) await client.query('select pg_sleep($1)', [random() * 0.3])
    if (random() < 0.05) {
      await client.query('rollback')
      return
    }
    await client.query('commit')
    for (const id of written) committed.add(id)
  } finally {
    client.release()
  }
}

t.test('every committed event is read exactly once, for any writers and dispatchers', async (t) => {
  const { pool, dispatcher } = await openLog(t)
  const committed = new Set<string>()
  const random = Math.random
  let writing = true

  const slow = await pool.connect()
  await slow.query('begin')
  const { rows } = await slow.query(insert, [7, false])

  const readers = [dispatcher(), dispatcher(), dispatcher()]
  const dispatching = readers.map(async ({ dispatcher }) => {
    while (writing) await dispatcher.run().catch(() => {})
  })
  const killing = (async () => {
    while (writing) {
      await pool
        .query(
          `select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and query ~ 'public.seen|move_position|from notify.positions' and pid <> pg_backend_pid()
           and random() < 0.3`,
        )
        .catch(() => {})
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  })()
  await Promise.all(
    Array.from({ length: 12 }, async () => {
      for (let i = 0; i < TRANSACTIONS; i++)
        await write(pool, random, committed).catch((error) => {
          // If the test kills a writer's connection, the transaction is rolled back, or its result is unknown.
          if (!/terminat|closed/i.test(String(error))) throw error
        })
    }),
  )
  await slow.query('commit')
  slow.release()
  committed.add(String(rows[0].id))
  writing = false
  await Promise.all([...dispatching, killing])
  const last = dispatcher()
  await eventually(async () => {
    await last.dispatcher.run()
    return (
      (
        await pool.query<{ n: number }>('select sum(events)::int as n from ops.lag where consumer = $1', [
          'notifications',
        ])
      ).rows[0]?.n === 0
    )
  })

  const stored = await pool.query<{ id: string }>('select id from notify.outbox')
  const seen = await pool.query<{ event_id: string }>('select event_id from public.seen')
  const ids = (values: string[]) => [...values].sort((a, b) => Number(a) - Number(b))
  t.same(ids(seen.rows.map((row) => row.event_id)), ids(stored.rows.map((row) => row.id)), 'seen once each')
  t.ok(
    [...committed].every((id) => stored.rows.some((row) => row.id === id)),
    'whatever was committed is there',
  )
  t.ok(committed.size > 10 * TRANSACTIONS, `${committed.size} events were written`)
})

t.test('an open transaction delays nobody, and its events are read after it commits', async (t) => {
  const { pool, dispatcher } = await openLog(t)
  const seen = async () =>
    (await pool.query<{ event_id: string }>('select event_id from public.seen order by 1')).rows.map((r) => r.event_id)
  const { dispatcher: reader } = dispatcher()
  const slow = await pool.connect()
  await slow.query('begin')
  const early = String((await slow.query(insert, [7, false])).rows[0].id)
  const late = String((await pool.query(insert, [7, false])).rows[0].id)
  await reader.run()
  t.same(await seen(), [late])
  await slow.query('commit')
  slow.release()
  await reader.run()
  t.same(await seen(), [early, late])
  await reader.run()
  t.same(await seen(), [early, late], 'and not again')
})

t.test('after a crash, a slice read in parts continues after the last committed part', async (t) => {
  const { pool, dispatcher } = await openLog(t)
  await pool.query(
    `insert into notify.outbox (action, counted, source_id, type, recipient_id) select 'send', true, g::text, 'system', g % 900 + 1 from generate_series(1, 9000) g`,
  )
  let batches = 0
  const failing: Consumer = async (client, events, onBusy) => {
    if (++batches === 3) throw new Error('Connection terminated unexpectedly')
    return note(client, events, onBusy)
  }
  const one = new Dispatcher(pool, log, { notifications: failing, counters: async () => [] }, () => {})
  await one.run()
  await dispatcher().dispatcher.run()
  const { rows } = await pool.query(
    'select count(*)::int as rows, count(distinct event_id)::int as events from public.seen',
  )
  t.same(rows[0], { rows: 9000, events: 9000 })
})

t.test('a lane that stopped inside a slice continues at the next wake-up', async (t) => {
  const { pool, dispatcher } = await openLog(t)
  await pool.query(
    `insert into notify.outbox (action, counted, source_id, type, recipient_id) select 'send', true, g::text, 'system', g % 900 + 1 from generate_series(1, 9000) g`,
  )
  const failing: Consumer = async (client, events, onBusy) => {
    const { rows } = await client.query('select count(*)::int as rows from public.seen')
    if (rows[0].rows > 0) throw new Error('Connection terminated unexpectedly')
    return note(client, events, onBusy)
  }
  await new Dispatcher(pool, log, { notifications: failing, counters: async () => [] }, () => {}).run()
  const left = await pool.query('select from notify.positions where target is not null')
  t.ok(left.rowCount, 'left in the middle')
  const { dispatcher: next } = dispatcher()
  next.wake()
  await eventually(
    async () => (await pool.query('select count(*)::int as rows from public.seen')).rows[0].rows === 9000,
  )
  await next.close()
  const { rows } = await pool.query('select count(distinct event_id)::int as events from public.seen')
  t.same(rows, [{ events: 9000 }])
})

t.test('a critical event does not wait for a backlog', async (t) => {
  const { pool } = await openLog(t)
  await pool.query(
    `insert into notify.outbox (action, counted, source_id, type, recipient_id) select 'send', true, g::text, 'system', g from generate_series(1, 30000) g`,
  )
  const critical = String((await pool.query(insert, [7, true])).rows[0].id)
  let backlogAtCritical = -1
  let applied = 0
  const watch: Consumer = async (client, events, onBusy) => {
    if (events.some((event) => String(event.id) === critical)) backlogAtCritical = 30_000 - applied
    else applied += events.length
    return note(client, events, onBusy)
  }
  await new Dispatcher(pool, log, { notifications: watch, counters: async () => [] }, () => {}).run()
  t.ok(backlogAtCritical > 20_000, `${backlogAtCritical} events were still waiting when it was read`)
})

t.test('neither reading nor retention leaves dead rows in the log', async (t) => {
  const { pool, dispatcher } = await openLog(t)
  await pool.query(
    `insert into notify.outbox (action, counted, source_id, type, recipient_id) select 'send', true, g::text, 'system', g from generate_series(1, 5000) g`,
  )
  await dispatcher().dispatcher.run()
  await pool.query('select pg_stat_force_next_flush()')
  const { rows } = await pool.query(
    `select sum(n_dead_tup)::int as dead, sum(n_tup_upd + n_tup_del)::int as changed from pg_stat_user_tables where relname like 'outbox\\_%' and relname <> 'outbox_partitions'`,
  )
  t.same(rows[0], { dead: 0, changed: 0 })
})
