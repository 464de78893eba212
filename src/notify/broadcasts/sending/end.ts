import type pg from 'pg'
import { type BroadcastFinished, queueBroadcastFinished } from '../../webhooks/queue.ts'
import { decidedLate } from './late.ts'

/** Queues the webhook event of a broadcast that ended in this transaction, with its counts. */
export async function announceEnd(client: pg.ClientBase, id: string): Promise<void> {
  const { rows } = await client.query<BroadcastFinished>(
    `select b.id as "broadcastId", b.name, b.state, coalesce(b.total, b.done) as total, b.stored + l.stored as stored,
       b.filtered + l.filtered as filtered, b.suppressed + l.suppressed as suppressed, l.failed
     from notify.broadcasts b cross join lateral (
       select ${decidedLate}, count(p.dead_at)::int as failed
       from notify.broadcast_late t
       left join notify.sources s on s.user_id = t.recipient_id and s.source_id = 'broadcast:' || $1::bigint
       left join notify.pending p on p.event_id = t.event_id and p.consumer = 'notifications' and s.user_id is null
       where t.broadcast_id = b.id) l
     where b.id = $1::bigint`,
    [id],
  )
  if (rows[0]) await queueBroadcastFinished(client, rows[0])
}
