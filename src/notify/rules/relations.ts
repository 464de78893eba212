import type pg from 'pg'
import { columns } from '../../db/columns.ts'
import type { Inbox, Loaded } from '../dispatch/model.ts'
import type { OutboxEvent } from '../outbox/event.ts'
import type { Relation, UserPreferences } from './decide.ts'
import { mutedThreads, silencedPairs } from './silences.ts'

type Queryable = Pick<pg.ClientBase, 'query'>

/**
 * Relations by `recipient actor`: blocks in either direction, the recipient's mute, and whether the recipient follows
 * the actor.
 */
export async function readRelations(client: Queryable, events: Addressed[]): Promise<Loaded['relations']> {
  const pairs = events.filter((event) => event.actorId !== null && !event.retracts)
  if (pairs.length === 0) return new Map()
  const { rows } = await client.query<{ key: string; blocked: boolean; muted: boolean; followed: boolean }>({
    name: 'relations_of_batch',
    text: `select w.user_id || ' ' || w.actor_id as key, bool_or(w.what = 'block') as blocked, bool_or(w.what = 'mute') as muted,
             bool_or(w.what = 'follow') as followed
           from (
             with w as materialized (select distinct user_id, actor_id from ${addressed.from})
             ${silencedPairs}
             union all
             select w.*, 'follow' from w join social.follows f on f.follower_id = w.user_id and f.followee_id = w.actor_id
           ) w group by w.user_id, w.actor_id`,
    values: addressed.values(pairs),
  })
  return new Map(rows.map(({ key, ...relation }) => [key, relation]))
}

type Addressed = Pick<OutboxEvent, 'recipientId' | 'actorId' | 'retracts'>

const addressed = columns<Addressed>(
  {
    user_id: ['bigint', (event) => event.recipientId],
    actor_id: ['bigint', (event) => event.actorId],
  },
  { hidden: true },
)

/** Pairs `recipient thread` of threads that the recipient muted. */
export async function readMutedThreads(client: Queryable, events: Threaded[]): Promise<Set<string>> {
  const pairs = events.flatMap(({ recipientId, threadKey, retracts }) => {
    const postId = retracts ? undefined : threadKey?.match(/^post:(\d{1,18})$/)?.[1]
    return postId === undefined ? [] : [{ recipientId, postId }]
  })
  if (pairs.length === 0) return new Set()
  const { rows } = await client.query<{ key: string }>({
    name: 'muted_threads_of_batch',
    text: `with w as materialized (select distinct user_id, post_id from ${threaded.from})
           select w.user_id || ' post:' || w.post_id as key from (${mutedThreads}) w`,
    values: threaded.values(pairs),
  })
  return new Set(rows.map((row) => row.key))
}

type Threaded = Pick<OutboxEvent, 'recipientId' | 'threadKey' | 'retracts'>

const threaded = columns<{ recipientId: string | null; postId: string }>(
  {
    user_id: ['bigint', ({ recipientId }) => recipientId],
    post_id: ['bigint', ({ postId }) => postId],
  },
  { hidden: true },
)

/** The relation of a recipient to an actor. Null without an actor, unless the recipient muted the thread. */
export function relationOf(
  { recipientId, actorId, threadKey }: Pick<OutboxEvent, 'recipientId' | 'actorId' | 'threadKey'>,
  loaded: Pick<Loaded, 'relations' | 'mutedThreads'>,
): Relation | null {
  const threadMuted = threadKey !== null && loaded.mutedThreads.has(`${recipientId} ${threadKey}`)
  if (actorId === null) return threadMuted ? { ...nobody, threadMuted } : null
  const known = loaded.relations.get(`${recipientId} ${actorId}`)
  return { self: actorId === recipientId, blocked: false, muted: false, followed: false, ...known, threadMuted }
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
