import type pg from 'pg'
import type { NewEvent } from '../../notify/outbox/append.ts'

/**
 * Has the new post told to those who switched its author's bell on, by a fan-out for each lane in which there is somebody.
 * `exceptIds` are told by events of their own. Costs a post nobody waits for four look-ups in an index.
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
 * Ends the fan-out of a post that is about to be deleted. Waits for the chunks under way; the lock on the post, which
 * every chunk shares, would be waited for until the last chunk, since those who share a lock do not queue.
 */
export async function stopPublishing(client: pg.ClientBase, postId: string): Promise<void> {
  await client.query({
    name: 'stop_publishing',
    text: `update notify.fan_outs set finished_at = now()
           where kind = 'publish_post' and object_id = $1 and finished_at is null`,
    values: [postId],
  })
}
