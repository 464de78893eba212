import type pg from 'pg'
import { inTransaction } from '../db/transaction.ts'
import { DEAD_LETTERS_KEPT_DAYS } from '../notify/outbox/pending.ts'

/** Days after which a source is deleted. Longer than replays and dead letters reach back, so that a repeated event finds it. */
export const SOURCES_KEPT_DAYS = DEAD_LETTERS_KEPT_DAYS + 2
/** Number of runs that scan the whole table once: a day, at one run per ten minutes. */
const RUNS_PER_ROUND = 144
const ROWS_PER_RUN_AT_LEAST = 2000
const ROWS_PER_CHUNK = 500

type Step = { looked: number; forgotten: number }

/**
 * Deletes old sources whose notification no longer exists. No index contains their age, because it would slow each
 * notification. Instead each run scans the next share of the table, so that a day covers all of it at a constant cost per run.
 */
export async function forgetSources(pool: pg.Pool): Promise<number> {
  let left = await shareOfRun(pool)
  let forgotten = 0
  while (left > 0) {
    const limit = Math.min(left, ROWS_PER_CHUNK)
    const step = await inTransaction(pool, (client) => forgetNext(client, limit))
    forgotten += step.forgotten
    if (step.looked < limit) break
    left -= step.looked
  }
  return forgotten
}

async function shareOfRun(pool: pg.Pool): Promise<number> {
  const { rows } = await pool.query<{ share: number }>(
    `select ceil(greatest(reltuples, 0) / ${RUNS_PER_ROUND})::int as share from pg_class where oid = 'notify.sources'::regclass`,
  )
  return Math.max(rows[0]?.share ?? 0, ROWS_PER_RUN_AT_LEAST)
}

/** SQL: the source of this alias does not count, waits for nothing, and is old. */
const isOver = (source: string) =>
  `not ${source}.live and ${source}.waits_for is null and ${source}.decided_at < now() - interval '${SOURCES_KEPT_DAYS} days'`

/**
 * Looks up the notification of each source singly. A join by user would compare all sources of a large inbox with all its
 * notifications. The deletion checks each source again, because an event may change it while the deletion waits for its lock:
 * PostgreSQL then repeats conditions on `s` for the new version, but `next` keeps the former one (manual, "Read Committed
 * Isolation Level").
 */
async function forgetNext(client: pg.ClientBase, limit: number): Promise<Step> {
  await client.query(`insert into notify.retention_cursors (name) values ('sources') on conflict (name) do nothing`)
  const { rows } = await client.query<Step>(
    `with here as materialized (
       select after_user, after_source from notify.retention_cursors where name = 'sources' for update
     ), next as materialized (
       select s.user_id, s.source_id, s.notification_id, ${isOver('s')} as old
       from notify.sources s
       where (s.user_id, s.source_id) > ((select after_user from here), (select after_source from here))
       order by s.user_id, s.source_id limit $1
     ), forgotten as (
       delete from notify.sources s using next x
       where s.user_id = x.user_id and s.source_id = x.source_id and x.old and ${isOver('s')}
         and (select n.id from notify.notifications n where n.user_id = x.user_id and n.id = x.notification_id) is null
       returning 1
     ), last as (
       select user_id, source_id from next order by user_id desc, source_id desc limit 1
     ), moved as (
       update notify.retention_cursors c
       set after_user = coalesce(w.user_id, 0), after_source = coalesce(w.source_id, ''), moved_at = now(),
           rounds = c.rounds + case when w.user_id is null then 1 else 0 end
       from (select (select count(*) from next) as looked) n left join last w on n.looked = $1
       where c.name = 'sources'
     )
     select (select count(*)::int from next) as looked, (select count(*)::int from forgotten) as forgotten`,
    [limit],
  )
  return rows[0] ?? { looked: 0, forgotten: 0 }
}
