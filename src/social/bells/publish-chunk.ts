import type pg from 'pg'
import { tell } from '../../notify/dispatch/dispatch.ts'
import { listOf, type Members, tellPlain } from '../../notify/dispatch/fast-path.ts'
import type { ChunkResult, FanOut } from '../../notify/fan-outs/run.ts'
import { type OutboxEvent, parseEvent } from '../../notify/outbox/event.ts'
import { setAside } from '../../notify/outbox/pending.ts'
import type { TypeLookup } from '../../notify/types/types.ts'
import { actions } from '../actions.ts'

/**
 * Inboxes locked at once. A recipient costs the same CPU time in chunks of 2,000 as of 5,000, and whoever waits for one of
 * these inboxes, or for the disk behind the commit, waits less than half as long.
 */
const MEMBERS_PER_CHUNK = 2000

/** A chunk that failed so often has somebody in it whose inbox cannot take the notification: each is tried alone. */
const PATIENCE = 2

/**
 * Tells the next ones of those who switched the bell of a post's author on. Most of them by one statement; those about whom
 * there is more to know like a batch of dispatch. Nobody's inbox is waited for: who is busy gets a pending event.
 */
export async function publishPostChunk(client: pg.ClientBase, fanOut: FanOut, types: TypeLookup): Promise<ChunkResult> {
  if (!(await postStands(client, fanOut.objectId))) return 'finished'
  const members = await nextMembers(client, fanOut)
  if (members.last === null) return 'finished'
  const event = parseEvent(fanOut.event)
  const late =
    fanOut.attempts < PATIENCE ? await tellMembers(client, types, event, members) : eventsFor(event, listOf(members))
  await tellLater(client, late)
  return members.size < MEMBERS_PER_CHUNK ? 'finished' : { cursorUserId: members.last }
}

/**
 * Locked `for key share`, as in dispatch: a deletion either comes before this chunk or retracts what it told. A post that
 * somebody else holds is not waited for (55P03): other fan-outs need this runner.
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

/** By user, as inboxes lie: in the order of shards each page of every table and index would be read and written once per shard. */
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

/** Returns what could not be told because an inbox was held by somebody else. */
async function tellMembers(
  client: pg.ClientBase,
  types: TypeLookup,
  event: OutboxEvent,
  members: Members,
): Promise<OutboxEvent[]> {
  const others = await tellPlain(client, types, event, members)
  return others.length > 0 ? tell(client, types, actions, eventsFor(event, others), 'set aside') : []
}

function eventsFor(event: OutboxEvent, users: string[]): OutboxEvent[] {
  return users.map((recipientId) => ({ ...event, recipientId }))
}

/** Each with an id of its own, by which pending events are told apart. */
async function tellLater(client: pg.ClientBase, events: OutboxEvent[]): Promise<void> {
  if (events.length === 0) return
  const { rows } = await client.query<{ id: number }>(
    `select nextval('notify.outbox_id_seq')::float8 as id from generate_series(1, $1::int)`,
    [events.length],
  )
  const copies = events.map((event, index) => ({ ...event, id: rows[index]?.id ?? event.id }))
  await setAside(client, 'notifications', copies, 'the inbox was held by another transaction, or the chunk failed')
}
