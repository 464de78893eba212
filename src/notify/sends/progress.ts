import { type Static, Type } from '@sinclair/typebox'
import type pg from 'pg'
import type { Caller } from '../../http/idempotency.ts'

/** Results of a send so far, in recipients. `filtered`: refused, or not wanted in the app; `failed`: dead letters. */
export const Progress = Type.Object({
  total: Type.Integer({ description: 'Recipients of the request' }),
  stored: Type.Integer({ description: 'Inboxes that have it' }),
  delivered: Type.Integer({ description: 'Acknowledged by a device' }),
  read: Type.Integer({ description: 'Read by the recipient' }),
  filtered: Type.Integer({ description: 'Refused by a rule, or not wanted in the app' }),
  failed: Type.Integer({ description: 'Dead letters' }),
})
export type Progress = Static<typeof Progress>

/**
 * Reads the progress of a send. Undefined when it does not exist or belongs to another sender. `sender` null sees all
 * sends.
 */
export async function readProgress(
  pool: pg.Pool,
  sendId: string,
  sender: Caller | null,
): Promise<Progress | undefined> {
  const { rows } = await pool.query<Progress>({
    name: 'read_progress',
    text: `
      select cardinality(d.recipient_ids) + d.unknown as total, p.*,
        (select count(*)::int from notify.pending b
         where b.dead_at is not null and b.recipient_id = any(d.recipient_ids) and b.event ->> 'sourceId' = d.source_id) as failed
      from notify.sends d
      cross join lateral (
        select count(*) filter (where s.notified and not coalesce(n.filtered, s.decision = 'filtered'))::int as stored,
          count(n.delivered_at)::int as delivered, count(n.read_at)::int as read,
          count(*) filter (where coalesce(n.filtered, s.decision in ('filtered', 'suppressed')) or s.decision = 'suppressed')::int as filtered
        from unnest(d.recipient_ids) r (id)
        join lateral (
          select * from notify.sources s where s.user_id = r.id and s.source_id = d.source_id offset 0) s on true
        left join lateral (
          select * from notify.notifications n where n.user_id = s.user_id and n.id = s.notification_id offset 0) n on true
      ) p
      where d.id = $1::bigint and ($2::text is null or d.sender = $2)`,
    values: [sendId, sender],
  })
  return rows[0]
}
