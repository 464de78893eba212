import type pg from 'pg'
import { eraOf } from '../inbox/lock.ts'
import type { OutboxEvent } from '../outbox/event.ts'
import { decide, isChosen } from '../rules/decide.ts'
import { postOf, unsilenced } from '../rules/silences.ts'
import type { NotificationType, TypeLookup } from '../types/types.ts'
import { queueRows } from '../webhooks/queue.ts'
import { channelsOf, dataOf, moreUrgent, priorityOf, sentWords } from './event-content.ts'
import { NOBODY, noWords } from './model.ts'
import { notifyPushNodes } from './store.ts'

/** User ids in order and their number. The ids are a PostgreSQL array literal, which Node passes on at no cost. */
export type Members = { ids: string; size: number }

/**
 * Fast path for recipients with default settings: no stored preferences, in-app only, no blocks or mutes, and not yet
 * notified of the source. Does the same as folding and storing, in one statement, without moving rows out of the
 * database. Returns the other users.
 */
export async function notifyPlain(
  client: pg.ClientBase,
  types: TypeLookup,
  event: OutboxEvent,
  members: Members,
): Promise<string[]> {
  const type = types(String(event.type))
  const relation = event.actorId === null ? null : someone
  const { decision, decidedBy } = decide(type, 'inApp', relation, undefined, priorityOf(event, type) === 'critical')
  if (decision !== 'allow' || !isPlain(event)) return listOf(members)
  const free = await lockSilent(client, members)
  const { rows } = await client.query<{ notified: string | null }>({
    name: 'notify_plain',
    text: notifyStatement,
    values: [free, ...columnsOf(event, type), decidedBy],
  })
  const notified = readNotified(rows[0]?.notified ?? null)
  await notifyPushNodes(client, notified)
  return notified.size === members.size ? [] : listOf(members).filter((userId) => !notified.has(userId))
}

/** SQL: the event is not grouped, is meant for the app, and is not expired. */
function isPlain(event: OutboxEvent): boolean {
  const { expiresAt } = sentWords(event)
  return (
    event.groupKey === null &&
    isChosen(channelsOf(event), 'inApp') &&
    (expiresAt === null || Date.parse(expiresAt) > Date.now())
  )
}

/** Parses an array literal, `{1,2,3}`. */
export function listOf({ ids, size }: Members): string[] {
  return size === 0 ? [] : ids.slice(1, -1).split(',')
}

/** Parses `user:modseq,user:modseq`. */
function readNotified(notified: string | null): Map<string, number> {
  const modseqByUser = new Map<string, number>()
  for (const pair of notified?.split(',') ?? []) {
    const colon = pair.indexOf(':')
    modseqByUser.set(pair.slice(0, colon), Number(pair.slice(colon + 1)))
  }
  return modseqByUser
}

/** The decision for default preferences does not depend on whether the recipient follows the actor. */
const someone = { self: false, blocked: false, muted: false, threadMuted: false, followed: true }

/** Locks in a separate statement, so that the next one sees blocks and mutes committed by former lock holders. */
async function lockSilent(client: pg.ClientBase, { ids }: Members): Promise<string> {
  const { rows } = await client.query<{ free: string }>({
    name: 'lock_silent_inboxes',
    text: `select coalesce(array_agg(user_id)::text, '{}') as free from (
             select user_id from notify.inbox
             where user_id = any($1::bigint[]) and not has_preferences and reachable_by = '{}' order by user_id for update skip locked) i`,
    values: [ids],
  })
  return rows[0]?.free ?? '{}'
}

/** A social event has no words of its own. The priorities are those of strangers and of people whom the recipient follows. */
function columnsOf(event: OutboxEvent, type: NotificationType) {
  const { id, sourceId, actorId, objectType, objectId, threadKey, requestId } = event
  const about = [objectType, objectId, threadKey, JSON.stringify(dataOf(event)), requestId]
  const { title, body, url, severity, expiresAt } = event.action === 'send' ? sentWords(event) : noWords
  const own = priorityOf(event, type)
  const isRanked = actorId !== null && type.followedPriority !== type.priority
  const [priority, followedPriority] = isRanked ? [type.priority, type.followedPriority] : [own, own]
  const priorities = [moreUrgent(priority, own), moreUrgent(followedPriority, own)]
  const kept = [
    type.type,
    severity ?? type.severity,
    ...(event.action === 'send' ? priorities : [priority, followedPriority]),
  ]
  return [id, sourceId, actorId, ...about, ...kept, type.retentionSeconds, title, body, url, expiresAt]
}

/**
 * Looks up sources singly, because a join would read the index entries of all users for this post. The update that counts also
 * finds the plain recipients, so each inbox is looked up once.
 */
const notifyStatement = `
  with plain as (
    update notify.inbox i set modseq = i.modseq + 1, era = ${eraOf('(i.modseq + 1)')}, unread_count = i.unread_count + 1,
      unseen_count = i.unseen_count + 1, grown_at = greatest(i.grown_at + interval '1 ms', date_trunc('milliseconds', now()))
    where i.user_id = any($1::bigint[]) and i.user_id is distinct from $4::bigint
      and (select s.event_id from notify.sources s where s.user_id = i.user_id and s.source_id = $3::text) is null
      and ${unsilenced(
        { first: '($1::bigint[])[1]', last: '($1::bigint[])[cardinality($1::bigint[])]' },
        { user: 'i.user_id', actor: '$4::bigint', post: `(select ${postOf('$7::text')})` },
      )}
    returning i.user_id, i.modseq, i.grown_at,
      exists (select from social.follows f where f.follower_id = i.user_id and f.followee_id = $4::bigint)::int as followed
  ),
  stored as (
    insert into notify.notifications (user_id, id, modseq, grown_modseq, type, priority, severity, object_type, object_id, thread_key, data,
      actor_ids, followed_actors, actor_count, request_id, title, body, url, updated_at, expires_at)
    select user_id, modseq, modseq, modseq, $10::text, case when followed = 1 then $13::text else $12::text end, $11::text, $5::text, $6::text, $7::text, $8::jsonb,
      array_remove(array[$4::bigint], null), followed, ($4::bigint is not null)::int, $9::text, $15::text, $16::text, $17::text, grown_at,
      coalesce($18::timestamptz, now() + make_interval(secs => $14::float8))
    from plain
  ),
  sourced as (
    insert into notify.sources (user_id, source_id, event_id, notification_id, actor_id, live, notified, decision, decided_by)
    select user_id, $3::text, $2::bigint, modseq, coalesce($4::bigint, ${NOBODY}), true, true, 'shown', $19::text from plain
  ),
  hooked as (
    ${queueRows('notification.created', { userId: 'p.user_id', notificationId: 'p.modseq', from: 'plain p' })}
  )
  select string_agg(user_id || ':' || modseq, ',') as notified from plain`
