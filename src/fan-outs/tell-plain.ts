import type pg from 'pg'
import { logIsOpen } from '../delivery-log/append.ts'
import { decide } from '../notifications/decide.ts'
import { unsilenced } from '../notifications/silences.ts'
import { notifyPushNodes } from '../notifications/store.ts'
import type { NotificationType, TypeLookup } from '../notifications/types.ts'
import type { OutboxEvent } from '../outbox/event.ts'

/**
 * Tells those of these users about whom there is nothing to consider: who said nothing about notifications, can be reached in
 * the app only, neither blocks nor mutes, and has not heard of the source. Does to them what folding and storing would, in one
 * statement and without their rows leaving the database. Returns whom it told.
 */
export async function tellPlain(
  client: pg.ClientBase,
  types: TypeLookup,
  event: OutboxEvent,
  users: string[],
): Promise<Set<string>> {
  const type = types(String(event.type))
  const { decision, decidedBy } = decide(type, 'inApp', someone, undefined)
  if (decision !== 'allow' || event.actorId === null || event.groupKey !== null || event.action === 'send')
    return new Set()
  const free = await lockSilent(client, users)
  const { rows } = await client.query<{ userId: string; modseq: number }>({
    name: 'tell_plain',
    text: tellStatement,
    values: [free, ...columnsOf(event, type), decidedBy],
  })
  await notifyPushNodes(client, new Map(rows.map(({ userId, modseq }) => [userId, modseq])))
  return new Set(rows.map((row) => row.userId))
}

/** Whether one follows the actor matters to preferences only. */
const someone = { self: false, blocked: false, muted: false, threadMuted: false, followed: true }

/** In a statement before the one that reads blocks and mutes, which then sees whatever was committed by former holders. */
async function lockSilent(client: pg.ClientBase, users: string[]): Promise<string[]> {
  const { rows } = await client.query<{ userId: string }>({
    name: 'lock_silent_inboxes',
    text: `select user_id as "userId" from notify.inbox
           where user_id = any($1::bigint[]) and not has_preferences and reachable_by = '{}' order by user_id for update skip locked`,
    values: [users],
  })
  return rows.map((row) => row.userId)
}

function columnsOf(
  event: OutboxEvent,
  { type, severity, priority, followedPriority, retentionSeconds }: NotificationType,
) {
  const { id, sourceId, actorId, objectType, objectId, threadKey, data, requestId } = event
  const about = [objectType, objectId, threadKey, JSON.stringify(data), requestId]
  return [id, sourceId, actorId, ...about, type, severity, priority, followedPriority, retentionSeconds]
}

/** Sources are looked up one by one: as a join, the index of everybody's would be read for those of this post. */
const tellStatement = `
  with plain as materialized (
    select i.user_id, i.modseq + 1 as modseq,
      exists (select from social.follows f where f.follower_id = i.user_id and f.followee_id = $4::bigint)::int as followed
    from notify.inbox i
    where i.user_id = any($1::bigint[])
      and (select s.event_id from notify.sources s where s.user_id = i.user_id and s.source_id = $3::text) is null
      and ${unsilenced({ user: 'i.user_id', actor: '$4::bigint', thread: '$7::text' })}
  ),
  counted as (
    update notify.inbox i set modseq = p.modseq, unread_count = i.unread_count + 1, unseen_count = i.unseen_count + 1
    from plain p where i.user_id = p.user_id
  ),
  told as (
    insert into notify.notifications (user_id, id, modseq, grown_modseq, type, priority, severity, object_type, object_id, thread_key, data,
      actor_ids, followed_actors, actor_count, request_id, expires_at)
    select user_id, modseq, modseq, modseq, $10::text, case when followed = 1 then $13::text else $12::text end, $11::text, $5::text, $6::text, $7::text, $8::jsonb,
      array[$4::bigint], followed, 1, $9::text, now() + make_interval(secs => $14::float8)
    from plain
  ),
  sourced as (
    insert into notify.sources (user_id, source_id, event_id, notification_id, actor_id, live, notified, decision, decided_by)
    select user_id, $3::text, $2::bigint, modseq, $4::bigint, true, true, 'shown', $15::text from plain
  ),
  logged as (
    insert into notify.delivery_log (recipient_id, notification_id, event, channel)
    select user_id, modseq, 'stored', 'inApp' from plain where ${logIsOpen}
  )
  select user_id as "userId", modseq::float8 as modseq from plain`
