import type pg from 'pg'
import type { Queryable } from '../../db/client.ts'
import { columns } from '../../db/columns.ts'
import type { Inbox, Loaded } from '../dispatch/model.ts'
import type { OutboxEvent } from '../outbox/event.ts'
import type { Relation, UserPreferences } from './decide.ts'
import { silencedRows } from './silences.ts'

/**
 * What the recipients have to do with the actors and threads of these events, as in `Loaded`: blocks in either direction,
 * mutes, whether the recipient follows the actor, and muted threads. One statement, because each round trip delays a batch.
 */
export async function readRelations(client: Queryable, events: Addressed[]): Promise<Relations> {
  const [relations, mutedThreads]: [Relations['relations'], Relations['mutedThreads']] = [new Map(), new Set()]
  const wanted = events.filter((event) => !event.retracts && (event.actorId !== null || postOfThread(event) !== null))
  if (wanted.length === 0) return { relations, mutedThreads }
  const { rows } = await client.query<RelationRow>({
    name: 'relations_of_batch',
    text: relationsStatement,
    values: addressed.values(wanted),
  })
  for (const { userId, actorId, postId, what } of rows)
    if (what === 'threadMute') mutedThreads.add(`${userId} post:${postId}`)
    else {
      const pair = `${userId} ${actorId}`
      relations.set(pair, { ...(relations.get(pair) ?? unrelated), [states[what]]: true })
    }
  return { relations, mutedThreads }
}

type Addressed = Pick<OutboxEvent, 'recipientId' | 'actorId' | 'threadKey' | 'retracts'>
type Relations = Pick<Loaded, 'relations' | 'mutedThreads'>
type RelationRow = {
  userId: string
  actorId: string | null
  postId: string | null
  what: keyof typeof states | 'threadMute'
}

const states = { block: 'blocked', mute: 'muted', follow: 'followed' } as const
const unrelated = { blocked: false, muted: false, followed: false }

/** The id of the post whose thread it is; null for another thread. */
function postOfThread({ threadKey }: Addressed): string | null {
  return threadKey?.match(/^post:(\d{1,18})$/)?.[1] ?? null
}

const addressed = columns<Addressed>(
  {
    user_id: ['bigint', (event) => event.recipientId],
    actor_id: ['bigint', (event) => event.actorId],
    post_id: ['bigint', postOfThread],
  },
  { hidden: true },
)

const relationsStatement = `
  with w as materialized (select distinct user_id, actor_id, post_id from ${addressed.from})
  select r.user_id as "userId", r.actor_id as "actorId", r.post_id as "postId", r.what
  from (
    ${silencedRows}
    union all
    select w.*, 'follow' from w join social.follows f on f.follower_id = w.user_id and f.followee_id = w.actor_id
  ) r`

/** The relation of a recipient to an actor. Null without an actor, unless the recipient muted the thread. */
export function relationOf(
  { recipientId, actorId, threadKey }: Pick<OutboxEvent, 'recipientId' | 'actorId' | 'threadKey'>,
  loaded: Pick<Loaded, 'relations' | 'mutedThreads'>,
): Relation | null {
  const threadMuted = threadKey !== null && loaded.mutedThreads.has(`${recipientId} ${threadKey}`)
  if (actorId === null) return threadMuted ? { ...nobody, threadMuted } : null
  const known = loaded.relations.get(`${recipientId} ${actorId}`)
  return { self: actorId === recipientId, ...unrelated, ...known, threadMuted }
}

/** The relation without an actor. `followed` is true, because the policy for strangers does not apply. */
const nobody: Relation = { self: false, blocked: false, muted: false, threadMuted: false, followed: true }

/** Preferences of these users. Read only for users whose inbox records that they have some. */
export async function readPreferences(
  client: pg.ClientBase,
  users: string[],
  inboxes: Map<string, Inbox>,
): Promise<Map<string, UserPreferences>> {
  const outspoken = users.filter((userId) => inboxes.get(userId)?.hasPreferences)
  return outspoken.length > 0 ? preferencesOf(client, outspoken) : new Map()
}

/** Preferences, quiet times, digests and counts of these users. Users without preferences are omitted. */
export async function preferencesOf(client: Queryable, users: string[]): Promise<Map<string, UserPreferences>> {
  const { rows } = await client.query<{ userId: string } & UserPreferences>({
    name: 'preferences_of_users',
    text: `select user_id as "userId", document, notify.quiet_until(document -> 'dnd', now()) as "dndUntil",
             notify.snooze_until(document ->> 'snoozeUntil', now()) as "snoozeUntil",
             case when document ? 'digest' then
               notify.digest_at(document -> 'digest', notify.digest_zone(user_id, document -> 'digest'), now()) end as "digestAt",
             recent, now() as at
           from notify.preferences where user_id = any($1::bigint[])`,
    values: [users],
  })
  return new Map(rows.map(({ userId, ...ownPreferences }) => [userId, ownPreferences]))
}
