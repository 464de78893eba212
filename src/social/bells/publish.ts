import type pg from 'pg'
import { notifyRecipients } from '../../notify/dispatch/dispatch.ts'
import { listOf, type Members, notifyPlain } from '../../notify/dispatch/fast-path.ts'
import type { ChunkResult, FanOut } from '../../notify/fan-outs/run.ts'
import type { NewEvent } from '../../notify/outbox/append.ts'
import { type OutboxEvent, parseEvent } from '../../notify/outbox/event.ts'
import { setAside } from '../../notify/outbox/pending.ts'
import type { TypeLookup } from '../../notify/types/types.ts'
import { actions } from '../actions.ts'

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

/**
 * Inboxes locked at once. Chunks of 2,000 need the same CPU time per recipient as chunks of 5,000. Other transactions
 * wait less than half as long for these inboxes and for the disk write of the commit.
 */
const MEMBERS_PER_CHUNK = 2000

/**
 * After this many failures, the inbox of one recipient probably cannot take the notification. Each recipient then gets
 * a pending event.
 */
const PATIENCE = 2

/**
 * Notifies the next subscribers to a post's author. One statement covers recipients with default settings; the others
 * go through dispatch. Does not wait for locked inboxes: their users get a pending event.
 */
export async function publishPostChunk(client: pg.ClientBase, fanOut: FanOut, types: TypeLookup): Promise<ChunkResult> {
  if (!(await postStands(client, fanOut.objectId))) return 'finished'
  const members = await nextMembers(client, fanOut)
  if (members.last === null) return 'finished'
  const event = parseEvent(fanOut.event)
  const late =
    fanOut.attempts < PATIENCE ? await notifyMembers(client, types, event, members) : eventsFor(event, listOf(members))
  await notifyLater(client, late)
  return members.size < MEMBERS_PER_CHUNK ? 'finished' : { cursorUserId: members.last }
}

/**
 * Locks the post `for key share`, as dispatch does. A deletion comes before this chunk or retracts its notifications.
 * Does not wait for a locked post (55P03), because other fan-outs need this runner.
 */
async function postStands(client: pg.ClientBase, postId: string): Promise<boolean> {
  const { rowCount } = await client.query({
    name: 'post_to_publish',
    text: `select from social.posts p join social.users u on u.id = p.author_id
           where p.id = $1 and p.deleted_at is null and u.deleted_at is null for key share of p nowait`,
    values: [postId],
  })
  return rowCount === 1
}

/**
 * The next subscribers, by user id. Tables and indexes of inboxes have the same order, so neighbours share pages. By
 * shard, every page would be read and written once per shard.
 */
async function nextMembers(client: pg.ClientBase, fanOut: FanOut): Promise<Members & { last: string | null }> {
  const { rows } = await client.query<Members & { last: string | null }>({
    name: 'next_members',
    text: `select coalesce(array_agg(user_id)::text, '{}') as ids, count(*)::int as size, max(user_id) as last from (
             select b.user_id from social.bells b
             where b.author_id = (select p.author_id from social.posts p where p.id = $1)
               and b.user_id > $2::bigint and b.shard between $3::smallint and $4::smallint and b.user_id <> all ($5::bigint[])
             order by b.user_id limit ${MEMBERS_PER_CHUNK}) m`,
    values: [fanOut.objectId, fanOut.cursorUserId, fanOut.firstShard, fanOut.lastShard, fanOut.exceptIds],
  })
  return rows[0] ?? { ids: '{}', size: 0, last: null }
}

/** Returns the events of recipients whose inbox another transaction has locked. */
async function notifyMembers(
  client: pg.ClientBase,
  types: TypeLookup,
  event: OutboxEvent,
  members: Members,
): Promise<OutboxEvent[]> {
  const others = await notifyPlain(client, types, event, members)
  return others.length > 0 ? notifyRecipients(client, types, actions, eventsFor(event, others), 'set aside') : []
}

function eventsFor(event: OutboxEvent, users: string[]): OutboxEvent[] {
  return users.map((recipientId) => ({ ...event, recipientId }))
}

/** Adds a pending event for each recipient, with an id of its own: the copies of an event must not share one. */
async function notifyLater(client: pg.ClientBase, events: OutboxEvent[]): Promise<void> {
  if (events.length === 0) return
  const { rows } = await client.query<{ id: number }>(
    `select nextval('notify.outbox_id_seq')::float8 as id from generate_series(1, $1::int)`,
    [events.length],
  )
  const copies = events.map((event, index) => ({ ...event, id: rows[index]?.id ?? event.id }))
  await setAside(client, 'notifications', copies, 'the inbox was held by another transaction, or the chunk failed')
}
