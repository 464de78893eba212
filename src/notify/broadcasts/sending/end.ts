import type pg from 'pg'
import { type BroadcastFinished, queueBroadcastFinished } from '../../webhooks/queue.ts'

/** Queues the webhook event of a broadcast that ended in this transaction, with its counts. */
export async function announceEnd(client: pg.ClientBase, id: string): Promise<void> {
  const { rows } = await client.query<BroadcastFinished>(
    `select b.id as "broadcastId", b.name, b.state, coalesce(b.total, b.done) as total, b.stored, b.filtered, b.suppressed, (
       select count(*)::int from notify.broadcast_late l
       join notify.pending p on p.event_id = l.event_id and p.consumer = 'notifications' and p.dead_at is not null
       where l.broadcast_id = b.id) as failed
     from notify.broadcasts b where b.id = $1`,
    [id],
  )
  if (rows[0]) await queueBroadcastFinished(client, rows[0])
}
