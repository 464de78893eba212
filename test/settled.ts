import type pg from 'pg'
import type { Test } from 'tap'
import { withClient } from '../src/db/client.ts'
import { eventually } from './setup.ts'

/** Waits until every event is read, nothing that can be retried is pending, and no fan-out is left. */
export async function settled({ pool }: { pool: pg.Pool }, seconds = 60): Promise<void> {
  await eventually(async () => {
    const { rows } = await pool.query<{ busy: number }>(
      `select ((select sum(events) from ops.lag) + (select count(*) from ops.pending)
         + (select count(*) from notify.fan_outs where finished_at is null))::int as busy`,
    )
    return rows[0]?.busy === 0
  }, seconds)
}

/** Ends all windows as if they were due, and waits until the system is settled. */
export async function flushed({ pool }: { pool: pg.Pool }): Promise<void> {
  await settled({ pool })
  await eventually(async () => {
    await pool.query('update notify.windows set due_at = now() where due_at > now()')
    return (await pool.query('select from notify.windows')).rowCount === 0
  })
}

export async function noDrift(t: Test, { pool }: { pool: pg.Pool }): Promise<void> {
  const { rows } = await patiently(pool, (client) => client.query('select * from ops.count_drift'))
  t.same(rows, [], 'every count equals its recount')
}

/** Lists are sorted by growth and pages by time, so both orders must be the same in every inbox. */
export async function inOrderOfTime(t: Test, { pool }: { pool: pg.Pool }): Promise<void> {
  const { rows } = await pool.query(
    `select * from (
       select user_id, id, updated_at, lag(updated_at) over (partition by user_id order by grown_modseq) as before
       from notify.notifications
     ) n where updated_at <= before limit 3`,
  )
  t.same(rows, [], 'notifications have the order of their times')
}

/** On a connection without the pool's time limit, for statements over everything, which take a busy machine long. */
export function patiently<T>(pool: pg.Pool, work: (client: pg.Client) => Promise<T>): Promise<T> {
  return withClient(String(pool.options.connectionString), work)
}

/** The inbox as its user sees it, newest first, once everything written so far has been dispatched. */
export async function inboxOf(system: { pool: pg.Pool }, username: string): Promise<Record<string, unknown>[]> {
  await settled(system)
  const { rows } = await system.pool.query('select type, actors, actor_count, object, read from ops.inbox_of($1)', [
    username,
  ])
  return rows
}
