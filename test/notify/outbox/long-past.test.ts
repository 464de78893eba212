import pg from 'pg'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { createPool } from '../../../src/db/pool.ts'
import { type Consumer, consumeBatch } from '../../../src/notify/outbox/consume.ts'
import type { Lanes } from '../../../src/notify/outbox/position.ts'
import { lanesWithWork } from '../../../src/notify/outbox/read.ts'
import { observedPool, type PlanMode } from '../../plans/observe.ts'
import { cloneDatabase } from '../../setup.ts'

const PAST = 300_000
const BACKLOG = 50_000
/** A few index probes for each of the 64 shards, however many events the log contains. */
const PROBES = 1_600
/** More for each transaction that was open when the positions last moved and has ended, in other databases too. */
const PROBES_PER_ENDED = 800
/** An event that is read costs its heap page, and a little of the index. */
const PAGES_PER_EVENT = 3
const BATCH = 1000

const nothing: Consumer = async () => []
const notifications: Lanes = { consumer: 'notifications', allBut: [] }
const counters: Lanes = { consumer: 'counters', lane: 0 }

type Past = { admin: pg.Pool; url: string; slow: pg.Client }

t.test('searching for unread events reads no events that were already read', async (t) => {
  const { admin, url, slow } = await longPast(t)
  const observers = (['force_custom_plan', 'force_generic_plan'] satisfies PlanMode[]).map((mode) => {
    return { ...observe(t, url, mode), see: (situation: string) => `${situation}, ${mode}` }
  })
  for (const { look, read, see } of observers) {
    await look(see('nothing unread'), 0)
    t.equal(await read(see('nothing unread'), notifications), 0)
    t.equal(await read(see('nothing unread'), counters), 0)
  }

  await slow.query(append(3, 1))
  await slow.query('commit')
  await admin.query(append(20, 2))
  for (const { look, see } of observers) await look(see('a few unread'), 23)
  const { read } = observe(t, url, 'force_generic_plan')
  t.equal(await read('a few unread', notifications), 23)
  t.equal(await read('a few unread', counters), 10)

  await admin.query(append(BACKLOG, 3))
  for (const { look, see } of observers) await look(see('a backlog'), BACKLOG)
  let left = BACKLOG
  while (left > 0) {
    const events = await read('a backlog', notifications)
    if (events === 0) break
    left -= events
  }
  t.equal(left, 0, 'the whole backlog was read')
  for (let i = 0; i < 3; i++) t.equal(await read('a backlog', counters), BATCH)
})

/** Asks as the product does, and bounds the pages that its statements look at. */
function observe(t: Test, url: string, mode: PlanMode) {
  const { pool, executed } = observedPool(url, mode)
  t.teardown(() => pool.end())
  const pagesOf = async (part: string, run: () => Promise<unknown>): Promise<number> => {
    executed.length = 0
    await run()
    return executed.filter(({ text }) => text.includes(part)).reduce((sum, { pages }) => sum + pages, 0)
  }
  const probes = async (): Promise<number> => {
    const { rows } = await pool.query<{ ended: number }>(
      `select count(distinct x)::int as ended from notify.positions cross join pg_snapshot_xip(done) x
       where pg_visible_in_snapshot(x, pg_current_snapshot())`,
    )
    return PROBES + PROBES_PER_ENDED * (rows[0]?.ended ?? 0)
  }
  return {
    look: async (situation: string, events: number): Promise<void> => {
      const found = await pagesOf('p.consumer, p.lane', () => lanesWithWork(pool))
      t.ok(found <= (await probes()), `${situation}: looking for lanes with work: ${found} pages`)
      const lag = await pagesOf('ops.lag', () => pool.query('select * from ops.lag'))
      t.ok(lag <= (await probes()) + PAGES_PER_EVENT * 2 * events, `${situation}: ops.lag: ${lag} pages`)
    },
    /** Returns how many events were read. */
    read: async (situation: string, lanes: Lanes): Promise<number> => {
      let events = 0
      const pages = await pagesOf('p.upto', async () => {
        const result = await consumeBatch(pool, lanes, nothing, { limit: BATCH, onBusy: 'wait' })
        events = result === 'held' ? 0 : result.events.length
      })
      const most = (await probes()) + PAGES_PER_EVENT * events
      t.ok(pages <= most, `${situation}: ${lanes.consumer} read ${events} events from ${pages} pages`)
      return events
    },
  }
}

/**
 * A partition in which 300,000 events of a thousand transactions have been read, while one that began before them is still open.
 * Another one, `slow`, was open when the positions last moved.
 */
async function longPast(t: Test): Promise<Past> {
  const url = await cloneDatabase(t)
  // Adopts the clone before it is filled.
  const admin = createPool({ url, size: 4, log: pino({ level: 'silent' }), name: 'test' })
  t.teardown(() => admin.end())
  const [old, slow] = [await openTransaction(t, url), await openTransaction(t, url)]
  const { rows } = await old.query<{ xid: string }>('select pg_current_xact_id()::text as xid')
  await admin.query(
    'do $$ begin for i in 1..1000 loop perform pg_current_xact_id(); commit; end loop; end $$', // each a transaction id
  )
  await admin.query(
    `insert into notify.outbox (xid, critical, counted, action, source_id, type, recipient_id)
     select ($1::bigint + 1 + i / ($2::int / 1000 + 1))::text::xid8, i % 20 = 0, i % 2 = 0, 'send', 'past:' || i, 'system', 1 + i % 20000
     from generate_series(1, $2::int) i`,
    [rows[0]?.xid, PAST],
  )
  await slow.query('select pg_current_xact_id()')
  await admin.query('select pg_current_xact_id()') // a later one that has ended
  await admin.query(`update notify.positions set done = pg_current_snapshot(), moved_at = now() + interval '1 hour'`)
  await admin.query('vacuum analyze notify.outbox')
  const { rows: open } = await admin.query('select from notify.positions, pg_snapshot_xip(done)')
  t.ok(open.length >= 12, 'each position holds both open transactions')
  return { admin, url, slow }
}

async function openTransaction(t: Test, url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  t.teardown(() => client.end())
  await client.query('begin')
  return client
}

function append(events: number, seed: number): string {
  return `insert into notify.outbox (critical, counted, action, source_id, type, recipient_id)
    select i % 20 = 0, i % 2 = 0, 'send', '${seed}:' || i, 'system', 1 + i * 7919 % 20000 from generate_series(1, ${events}) i`
}
