import { pino } from 'pino'
import type { Test } from 'tap'
import { type App, closeApp, createApp } from '../../../src/app.ts'
import { dispatchWith } from '../../../src/notify/dispatch/dispatch.ts'
import { Dispatcher } from '../../../src/notify/outbox/dispatcher.ts'
import { retryPending } from '../../../src/notify/outbox/pending.ts'
import { actions } from '../../../src/social/actions.ts'
import { cloneDatabase, testConfig } from '../../setup.ts'

/** A fresh database and an app on it, without server, worker or push node: tests write events and dispatch them by themselves. */
export async function inboxApp(t: Test): Promise<App> {
  const app = createApp(testConfig(await cloneDatabase(t)), pino({ level: 'silent' }))
  t.teardown(() => closeApp(app))
  return app
}

/** New users with inboxes, their ids in the order of `names`. */
export async function makeUsers(app: App, names: string[]): Promise<string[]> {
  const { rows } = await app.pool.query<{ id: string; display_name: string }>(
    `with made as (
       insert into social.users (username, email, password_hash, display_name)
       select 'u' || substr(md5(gen_random_uuid()::text), 1, 20), gen_random_uuid() || '@example.org', '!', name
       from unnest($1::text[]) name returning id, display_name
     ), inboxes as (insert into notify.inbox (user_id) select id from made)
     select id, display_name from made`,
    [names],
  )
  return names.map((name) => String(rows.find((row) => row.display_name === name)?.id))
}

export async function makePost(app: App, authorId: string): Promise<string> {
  const { rows } = await app.pool.query<{ id: string }>(
    `insert into social.posts (author_id, body) values ($1, 'hello') returning id`,
    [authorId],
  )
  return String(rows[0]?.id)
}

export type Like = { postId: string; actorId: string; recipientId: string; retracts?: boolean }

/** Writes the events of these likes and dispatches everything there is. */
export async function like(app: App, ...likes: Like[]): Promise<void> {
  for (const { postId, actorId, recipientId, retracts = false } of likes)
    await app.pool.query(
      `insert into notify.outbox (counted, action, retracts, source_id, type, recipient_id, actor_id, object_type, object_id, thread_key, group_key, data)
       values (true, 'like', $4, concat('like:', $1::text, ':', $2::text), 'post.liked', $3, $2::bigint, 'post', $1::text,
               'post:' || $1::text, 'post.liked:' || $1::text, jsonb_build_object('postId', $1::text))`,
      [postId, actorId, recipientId, retracts],
    )
  await dispatch(app)
}

/** Someone followed: each call is another group, so another notification. */
export async function follow(app: App, actorId: string, recipientId: string): Promise<void> {
  await app.pool.query(
    `insert into notify.outbox (counted, action, source_id, type, recipient_id, actor_id, object_type, object_id, group_key, data)
     values (true, 'follow', concat('follow:', $1::text, ':', $2::text), 'user.followed', $2::bigint, $1::bigint, 'user', $2::text,
             'user.followed:' || gen_random_uuid(), jsonb_build_object('followeeId', $2::text))`,
    [actorId, recipientId],
  )
  await dispatch(app)
}

export async function dispatch(app: App): Promise<void> {
  await new Dispatcher(app.pool, app.log, consumersOf(app), () => {}).run()
}

/** Applies all pending events, also those that are not due. */
export async function retrySetAside(app: App): Promise<void> {
  await app.pool.query('update notify.pending set due_at = now() where dead_at is null')
  await retryPending(app.pool, app.log, consumersOf(app))
}

export function consumersOf(app: App) {
  return { notifications: dispatchWith(app.types, actions), counters: async () => [] }
}

/** Inserts this many notifications into an inbox, as if they had been sent. */
export async function fillInbox(app: App, userId: string, count: number): Promise<void> {
  await app.pool.query(
    `insert into notify.notifications (user_id, id, modseq, grown_modseq, type, title, expires_at, closed_at)
     select $1, g, g, g, 'system', 'Notice ' || g, now() + interval '90 days', null from generate_series(1, $2) g`,
    [userId, count],
  )
  await app.pool.query(
    'update notify.inbox set modseq = $2::int, era = $2::int / 8, unread_count = $2::int, unseen_count = $2::int where user_id = $1',
    [userId, count],
  )
}

/** Inbox counts of these users that differ from a recount. */
export async function drift(app: App, userIds: string[]): Promise<unknown[]> {
  const { rows } = await app.pool.query(
    `select * from ops.count_drift where (counter like 'inbox.%' or counter like 'notifications.%') and id = any($1::bigint[])`,
    [userIds],
  )
  return rows
}
