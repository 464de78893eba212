import type pg from 'pg'
import type { OutboxEvent } from '../outbox/event.ts'
import type { UserPreferences } from './decide.ts'
import type { Inbox, Loaded } from './model.ts'

type Queryable = Pick<pg.ClientBase, 'query'>

/** Per pair `recipient actor`: blocks either way, the recipient's mute, and whether the recipient follows the actor. */
export async function readRelations(
  client: Queryable,
  events: Pick<OutboxEvent, 'recipientId' | 'actorId' | 'retracts'>[],
): Promise<Loaded['relations']> {
  const pairs = events.filter((event) => event.actorId !== null && !event.retracts)
  if (pairs.length === 0) return new Map()
  const { rows } = await client.query<{ key: string; blocked: boolean; muted: boolean; followed: boolean }>({
    name: 'relations_of_batch',
    text: `select w.u || ' ' || w.a as key, bool_or(w.what = 'blocked') as blocked, bool_or(w.what = 'muted') as muted,
             bool_or(w.what = 'followed') as followed
           from (
             with w as materialized (select distinct u, a from unnest($1::bigint[], $2::bigint[]) w (u, a))
             select w.*, 'blocked' as what from w join social.blocks b on b.user_id = w.u and b.other_id = w.a
             union all
             select w.*, 'blocked' from w join social.blocks b on b.user_id = w.a and b.other_id = w.u
             union all
             select w.*, 'muted' from w join social.mutes m on m.user_id = w.u and m.other_id = w.a and coalesce(m.until > now(), true)
             union all
             select w.*, 'followed' from w join social.follows f on f.follower_id = w.u and f.followee_id = w.a
           ) w group by w.u, w.a`,
    values: [pairs.map((event) => event.recipientId), pairs.map((event) => event.actorId)],
  })
  return new Map(rows.map(({ key, ...relation }) => [key, relation]))
}

/** Pairs `recipient thread` of threads that the recipient muted. */
export async function readMutedThreads(
  client: Queryable,
  events: Pick<OutboxEvent, 'recipientId' | 'threadKey' | 'retracts'>[],
): Promise<Set<string>> {
  const pairs = events.filter((event) => event.threadKey?.startsWith('post:') && !event.retracts)
  if (pairs.length === 0) return new Set()
  const { rows } = await client.query<{ key: string }>({
    name: 'muted_threads_of_batch',
    text: `select m.user_id || ' post:' || m.post_id as key
           from (select distinct u, p from unnest($1::bigint[], $2::bigint[]) w (u, p)) w
           join social.thread_mutes m on m.user_id = w.u and m.post_id = w.p`,
    values: [pairs.map((event) => event.recipientId), pairs.map((event) => event.threadKey?.slice('post:'.length))],
  })
  return new Set(rows.map((row) => row.key))
}

/** What these users said; asked only of those whose inbox says that they said something. */
export async function readPreferences(
  client: pg.ClientBase,
  users: string[],
  inboxes: Map<string, Inbox>,
): Promise<Map<string, UserPreferences>> {
  const outspoken = users.filter((userId) => inboxes.get(userId)?.hasPreferences)
  return outspoken.length > 0 ? preferencesOf(client, outspoken) : new Map()
}

/** What these users said and until when they want quiet; who said nothing is not in the answer. */
export async function preferencesOf(client: Queryable, users: string[]): Promise<Map<string, UserPreferences>> {
  const { rows } = await client.query<{ userId: string } & UserPreferences>({
    name: 'preferences_of_users',
    text: `select user_id as "userId", document, notify.quiet_until(document -> 'dnd', now()) as "dndUntil",
             case when (document ->> 'snoozeUntil')::timestamptz > now() then (document ->> 'snoozeUntil')::timestamptz end as "snoozeUntil"
           from notify.preferences where user_id = any($1::bigint[])`,
    values: [users],
  })
  return new Map(rows.map(({ userId, ...said }) => [userId, said]))
}
