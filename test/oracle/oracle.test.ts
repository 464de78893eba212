import { readFile } from 'node:fs/promises'
import pg from 'pg'
import t from 'tap'
import { runFanOuts } from '../../src/notify/fan-outs/run.ts'
import { flushWindows } from '../../src/notify/windows/flush.ts'
import { allFanOuts } from '../../src/worker/context.ts'
import { dispatch, retrySetAside } from '../notify/dispatch/events.ts'
import { eventually, setup, type TestSystem } from '../setup.ts'
import { sized } from '../size.ts'
import { act, follow, speak, undo, type World } from './trace.ts'

/**
 * Runs random actions against the engine and against the rules in rules.sql. After each round both must agree on the
 * notifications, their rule, state and silence, and on who waits for a window. A failure prints its seed, for ORACLE_SEED; with
 * it, concurrent writes may still come in another order. A long run:
 * `ORACLE_ACTIONS=100000 npm test -- test/oracle/oracle.test.ts --timeout=7200`.
 */
const ACTIONS = Number(process.env.ORACLE_ACTIONS ?? sized(1500, 350))
const SEED = Number(process.env.ORACLE_SEED ?? Date.now() % 2 ** 31)
/** Approximate, because actions that change nothing do not count. */
const ROUNDS = 10

t.setTimeout(300_000 + ACTIONS * 60)

t.jobs = 2

for (const windows of [false, true])
  t.test(
    `with${windows ? '' : 'out'} windows, inboxes equal the result of the rules in plain SQL`,
    { buffered: true },
    async (t) => {
      const system = await setup(t, windows ? {} : { windowSeconds: 0 })
      const { app, pool } = system
      const oracle = new pg.Client(system.databaseUrl)
      await oracle.connect()
      t.teardown(() => oracle.end())
      await oracle.query(await readFile(new URL('rules.sql', import.meta.url), 'utf8'))
      const users = await makeUsers(system)
      const world: World = {
        app,
        random: seeded(SEED),
        users,
        names: users.length,
        posts: [],
        comments: [],
        effective: {},
      }
      const afterwards = async (rules: 'notify' | 'undo') =>
        t.same(await settle(system, oracle, rules), [], `ORACLE_SEED=${SEED}`)
      await act(world, 100)
      await afterwards('notify')
      for (let round = 1; effective(world) < ACTIONS && t.passing(); round++) {
        const share = Math.ceil(ACTIONS / ROUNDS)
        await speak(world, Math.max(20, share * 0.02))
        await afterwards('undo')
        await undo(world, share * 0.3)
        await afterwards('undo')
        await follow(world, share * 0.1)
        await afterwards('notify')
        await act(world, Math.floor(share * 0.55))
        await afterwards('notify')
        const { rows } = await oracle.query('select * from oracle.differences()')
        t.same(rows, [], `round ${round} with ORACLE_SEED=${SEED}`)
        t.comment(`round ${round}: ${effective(world)} effective actions`)
      }
      if (!t.passing()) return
      t.comment(`effective actions: ${JSON.stringify({ ...world.effective, all: effective(world) })}`)
      t.ok(effective(world) >= ACTIONS, `at least ${ACTIONS} actions changed something`)
      const { rows } = await pool.query(
        `select count(*)::int as notifications, count(*) filter (where filter <> 'none')::int as filtered, count(*) filter (where silent)::int as silent,
         count(*) filter (where mail is not null)::int as mailed, count(first)::int as with_known_order,
         (select count(*)::int from notify.outbox) as events, (select count(*)::int from notify.sources where waits_for is not null) as waiting
       from oracle.expected`,
      )
      t.comment(JSON.stringify(rows[0]))
      const { notifications, filtered, silent, mailed, with_known_order: ordered, waiting } = rows[0]
      t.ok(notifications > filtered + silent && ordered > notifications / 2)
      // In a short trace it depends on the seed.
      t.ok(
        ACTIONS < 20_000 || (mailed > 0 && filtered > 0 && silent > 0),
        'a long trace mails, filters and hushes some',
      )
      t.equal(waiting, 0)
      const drift = await pool.query(
        `select * from ops.count_drift where counter like 'inbox.%' or counter like 'notifications.%'`,
      )
      t.same(drift.rows, [])
    },
  )

const effective = (world: World) => Object.values(world.effective).reduce((sum, count) => sum + count, 0)

/** Dispatches everything, compares who waits, and shows those too. Answers the differences. */
async function settle({ app, pool }: TestSystem, oracle: pg.Client, rules: 'notify' | 'undo'): Promise<unknown[]> {
  await eventually(async () => {
    await runFanOuts(app, allFanOuts)
    await dispatch(app)
    await retrySetAside(app)
    const { rows } = await pool.query<{ left: number }>(
      `select ((select sum(events) from ops.lag) + (select count(*) from notify.pending)
         + (select count(*) from notify.fan_outs where finished_at is null))::int as left`,
    )
    return rows[0]?.left === 0
  }, 600).catch(async (error) => {
    const { rows } = await pool.query(
      `select to_jsonb(p) as left from notify.pending p union all select to_jsonb(f) from notify.fan_outs f where f.finished_at is null
       union all select to_jsonb(l) from ops.lag l where l.events > 0`,
    )
    throw new Error(JSON.stringify(rows.slice(0, 5)), { cause: error })
  })
  await oracle.query(`call oracle.${rules}()`)
  const { rows } = await oracle.query('select * from oracle.waiting_differences limit 5')
  await pool.query('update notify.windows set due_at = now()')
  await flushWindows(app)
  return rows
}

async function makeUsers({ pool }: TestSystem): Promise<string[]> {
  const { rows } = await pool.query<{ id: string }>(
    `with made as (
       insert into social.users (username, email, password_hash, display_name, email_verified_at)
       select 'user' || i, 'user' || i || '@example.org', '!', 'User ' || i, case when i % 3 = 0 then now() end
       from generate_series(1, $1::int) i returning id, email_verified_at
     ), inboxes as (
       insert into notify.inbox (user_id, reachable_by) select id, case when email_verified_at is null then '{}'::text[] else '{email}' end from made
     )
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
