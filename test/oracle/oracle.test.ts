import { readFile } from 'node:fs/promises'
import t from 'tap'
import { flushWindows } from '../../src/notifications/windows.ts'
import { dispatch } from '../notifications/events.ts'
import { eventually, setup, type TestSystem } from '../setup.ts'
import { act, follow, speak, undo, type World } from './trace.ts'

/**
 * `ORACLE_ACTIONS=100000 npm test -- test/oracle/oracle.test.ts` for the long one: so many actions that changed something,
 * each way. A failure prints its seed.
 */
const ACTIONS = Number(process.env.ORACLE_ACTIONS ?? 1500)
const SEED = Number(process.env.ORACLE_SEED ?? Date.now() % 2 ** 31)
/** Of that many more or less: what is asked for a second time changes nothing. */
const ROUNDS = 10

t.setTimeout(ACTIONS * 60)

for (const windows of [false, true])
  t.test(`${windows ? 'gathered or' : 'told'} at once, inboxes hold what the rules in plain SQL say`, async (t) => {
    const system = await setup(t, windows ? {} : { windowSeconds: 0 })
    const { app, pool } = system
    await pool.query(await readFile(new URL('rules.sql', import.meta.url), 'utf8'))
    const world: World = {
      app,
      random: seeded(SEED),
      users: await makeUsers(system),
      posts: [],
      comments: [],
      effective: {},
    }
    await act(world, 100)
    await settle(system)
    await pool.query('call oracle.tell()')
    for (let round = 1; effective(world) < ACTIONS; round++) {
      const share = Math.ceil(ACTIONS / ROUNDS)
      await speak(world, share * 0.03, (sql, values) => pool.query(sql, values))
      await settle(system)
      await pool.query('call oracle.undo()')
      await undo(world, share * 0.3)
      await settle(system)
      await pool.query('call oracle.undo()')
      await follow(world, share * 0.1)
      await settle(system)
      await pool.query('call oracle.tell()')
      await act(world, Math.floor(share * 0.57))
      await settle(system)
      await pool.query('call oracle.tell()')
      const { rows } = await pool.query(
        `(select 'missing' as what, * from (select * from oracle.expected except all select * from oracle.found) x limit 5)
         union all (select 'too much', * from (select * from oracle.found except all select * from oracle.expected) x limit 5)`,
      )
      t.same(rows, [], `round ${round} with ORACLE_SEED=${SEED}`)
      if (rows.length > 0) return
      t.comment(`round ${round}: ${effective(world)} effective actions`)
    }
    t.comment(`effective actions: ${JSON.stringify({ ...world.effective, all: effective(world) })}`)
    t.ok(effective(world) >= ACTIONS, `at least ${ACTIONS} actions changed something`)
    const { rows } = await pool.query(
      `select count(*)::int as notifications, count(*) filter (where filtered)::int as filtered,
         (select count(*)::int from notify.outbox) as events, (select count(*)::int from notify.sources where waits_for is not null) as waiting
       from oracle.found`,
    )
    t.ok(rows[0].filtered > 0 && rows[0].notifications > rows[0].filtered, JSON.stringify(rows[0]))
    t.equal(rows[0].waiting, 0)
    const drift = await pool.query(
      `select * from ops.count_drift where counter like 'inbox.%' or counter like 'notifications.%'`,
    )
    t.same(drift.rows, [])
  })

const effective = (world: World) => Object.values(world.effective).reduce((sum, count) => sum + count, 0)

async function settle({ app, pool }: TestSystem): Promise<void> {
  await eventually(async () => {
    await dispatch(app)
    const { rows } = await pool.query<{ left: number }>(
      'select ((select sum(events) from ops.lag) + (select count(*) from notify.pending))::int as left',
    )
    return rows[0]?.left === 0
  }, 60)
  await pool.query('update notify.windows set due_at = now()')
  await flushWindows(app)
}

async function makeUsers({ pool }: TestSystem): Promise<string[]> {
  const { rows } = await pool.query<{ id: string }>(
    `with made as (
       insert into social.users (username, email, password_hash, display_name)
       select 'user' || i, 'user' || i || '@example.org', '!', 'User ' || i from generate_series(1, $1::int) i returning id
     ), inboxes as (insert into notify.inbox (user_id) select id from made)
     select id from made order by id`,
    [Math.max(50, Math.floor(ACTIONS / 50))],
  )
  return rows.map((row) => row.id)
}

/** Mulberry32: the same numbers for the same seed, each at least 0 and below 1. */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
