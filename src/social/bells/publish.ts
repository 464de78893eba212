import type pg from 'pg'
import type { NewEvent } from '../../notify/outbox/append.ts'

/**
 * Adds a fan-out that notifies the author's subscribers of a new post, one for each lane with subscribers. `exceptIds`
 * have events of their own. A post without subscribers costs four index lookups.
 */
export async function publishToBells(client: pg.ClientBase, event: NewEvent, exceptIds: string[]): Promise<void> {
  await client.query({
    name: 'publish_to_bells',
    text: `insert into notify.fan_outs (kind, object_id, thread_key, first_shard, last_shard, event, except_ids)
           select 'publish_post', $1, $3, p.shard_from, p.shard_to, $4::jsonb || jsonb_build_object('id', nextval('notify.outbox_id_seq')), $5
           from notify.positions p
           where p.consumer = 'notifications' and not p.critical and exists (
             select from social.bells b where b.author_id = $2 and b.shard between p.shard_from and p.shard_to)`,
    values: [
      event.objectId,
      event.actorId,
      event.threadKey,
      JSON.stringify({ ...event, type: 'post.published', counted: false, retracts: false }),
      exceptIds,
    ],
  })
}

/**
 * Ends the fan-out of a post before its deletion, after the current chunks. Locking the post instead could wait until
 * the last chunk: all chunks share that lock, and new holders of a shared lock do not queue.
 */
export async function stopPublishing(client: pg.ClientBase, postId: string): Promise<void> {
  await client.query({
    name: 'stop_publishing',
    text: `update notify.fan_outs set finished_at = now()
           where kind = 'publish_post' and object_id = $1 and finished_at is null`,
    values: [postId],
  })
}
