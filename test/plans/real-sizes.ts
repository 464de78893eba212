import type pg from 'pg'

export const USERS = 20_000
/** The user with a large inbox. */
export const HOT_USER = String(USERS + 1)
const HOT_INBOX = 20_000
const POSTS = 100_000

/**
 * Fills a fresh database as if it had run for a while: 20,000 users with 10 notifications each, one with 20,000; 200,000
 * likes; 100,000 events that have been read, and 60,000 that have not, of 60 transactions.
 */
export async function fillRealSizes(pool: pg.Pool): Promise<void> {
  await pool.query(people)
  await pool.query(inboxes)
  await pool.query(pastEvents)
  await pool.query('update notify.positions set done = pg_current_snapshot()')
  for (let i = 0; i < 60; i++) await pool.query(unreadEvents, [i * 1000])
  await pool.query('vacuum (analyze)')
}

const people = `
  insert into social.users (username, email, password_hash, display_name)
  select 'user_' || i, 'user_' || i || '@example.org', '!', 'User ' || i from generate_series(1, ${USERS} + 1) i;
  insert into social.sessions (user_id, expires_at) select i, now() + interval '30 days' from generate_series(1, ${USERS}) i;
  insert into social.refresh_tokens (token_hash, session_id) select sha256(i::text::bytea), i from generate_series(1, ${USERS}) i;
  insert into social.posts (author_id, body) select 1 + i % ${USERS}, 'Post' from generate_series(1, ${POSTS}) i;
  insert into social.likes (post_id, user_id)
  select p, 1 + (p * step) % ${USERS} from generate_series(1, ${POSTS}) p, unnest(array[7, 13]) step on conflict do nothing;
  insert into social.comments (post_id, author_id, body) select 1 + i % ${POSTS}, 1 + i * 3 % ${USERS}, 'Comment' from generate_series(1, 20000) i;
  insert into social.comments (post_id, parent_id, author_id, body)
  select post_id, id, 1 + id * 7 % ${USERS}, 'Reply' from social.comments;
  insert into social.follows (follower_id, followee_id)
  select i, 1 + (i + step - 1) % ${USERS} from generate_series(1, ${USERS}) i, generate_series(1, 5) step;
  insert into social.media_contents (mime, extension, sha256, size)
  select 'image/png', 'png', sha256(i::text::bytea), 100 from generate_series(1, 20000) i;
  insert into social.media (id, owner_id, content_id, unused_since)
  select translate(left(encode(sha256, 'base64'), 22), '+/', '-_'), ${HOT_USER}, id, null from social.media_contents;
  insert into social.blocks (user_id, other_id)
  select i, 1 + (i + step * 50) % ${USERS} from generate_series(1, ${USERS}) i, generate_series(1, 2) step`

/** Of each user five open groups of likes of their posts, five closed ones of followers, and five removed notifications. The groups of likes went out by email and Web Push. */
const inboxes = `
  insert into notify.inbox (user_id, modseq, era, unread_count, unseen_count)
  select id, 15, 1, 10, 10 from social.users where id <= ${USERS} union all select ${HOT_USER}, ${HOT_INBOX}, ${HOT_INBOX} / 8, ${HOT_INBOX}, ${HOT_INBOX};
  insert into notify.notifications (user_id, id, modseq, grown_modseq, type, group_key, thread_key, object_type, object_id, data,
    actor_ids, actor_count, expires_at)
  select 1 + p % ${USERS}, k, k, k, 'post.liked', 'post.liked:' || p, 'post:' || p, 'post', p::text, jsonb_build_object('postId', p::text),
    array[1 + p * 7 % ${USERS}, 1 + p * 13 % ${USERS}], 2, now() + interval '90 days'
  from generate_series(1, ${USERS}) u, generate_series(1, 5) k, lateral (select (u - 1 + ${USERS} * (k - 1))::bigint) x (p);
  insert into notify.notifications (user_id, id, modseq, grown_modseq, type, group_key, object_type, object_id, actor_ids, actor_count,
    expires_at, closed_at)
  select u, k, k, k, 'user.followed', 'user.followed:' || k, 'user', u::text, array[1 + (u + k) % ${USERS}], 1,
    now() + interval '90 days', now()
  from generate_series(1, ${USERS}) u, generate_series(6, 10) k;
  insert into notify.notifications (user_id, id, modseq, grown_modseq, type, title, expires_at)
  select ${HOT_USER}, g, g, g, 'system', 'Notice', now() + interval '90 days' from generate_series(1, ${HOT_INBOX}) g;
  insert into notify.sources (user_id, source_id, event_id, notification_id, actor_id, live, notified, decision)
  select 1 + p % ${USERS}, 'like:' || p || ':' || a, 1, k, a, true, true, 'shown'
  from generate_series(1, ${USERS}) u, generate_series(1, 5) k, lateral (select (u - 1 + ${USERS} * (k - 1))::bigint) x (p),
    lateral (values (1 + p * 7 % ${USERS}), (1 + p * 13 % ${USERS})) y (a)
  on conflict do nothing;
  insert into notify.sources (user_id, source_id, event_id, notification_id, actor_id, live, notified, decision)
  select u, 'follow:' || 1 + (u + k) % ${USERS} || ':' || u, 1, k, 1 + (u + k) % ${USERS}, true, true, 'shown'
  from generate_series(1, ${USERS}) u, generate_series(6, 10) k;
  insert into notify.sources (user_id, source_id, event_id, notification_id, live, notified, decision)
  select ${HOT_USER}, 'send:' || g, 1, g, true, true, 'shown' from generate_series(1, ${HOT_INBOX}) g;
  insert into notify.deliveries (user_id, notification_id, channel, target, state, grown_modseq, send_id, attempts)
  select u, k, channel, 'primary', 'sent', k, u || '.' || k, 1
  from generate_series(1, ${USERS}) u, generate_series(1, 5) k, unnest(array['email', 'webPush']) channel;
  insert into notify.tombstones (user_id, modseq, id)
  select u, k, k from generate_series(1, ${USERS}) u, generate_series(11, 15) k`

const columns = `(counted, action, retracts, source_id, type, recipient_id, actor_id, object_type, object_id, thread_key, group_key, data)`

const pastEvents = `
  insert into notify.outbox ${columns}
  select true, 'like', false, 'like:' || p || ':' || u, 'post.liked', 1 + p % ${USERS}, u, 'post', p::text, 'post:' || p, 'post.liked:' || p,
    jsonb_build_object('postId', p::text)
  from (select 1 + i % ${POSTS} as p, 1 + i * 7 % ${USERS} as u from generate_series(1, 100000) i) x`

/** A thousand events: seven new likes in ten, two likes taken back, one new follower. */
const unreadEvents = `
  insert into notify.outbox ${columns}
  select true, 'like', i % 10 > 7, 'like:' || p || ':' || u, 'post.liked', 1 + p % ${USERS}, u, 'post', p::text, 'post:' || p,
    'post.liked:' || p, jsonb_build_object('postId', p::text)
  from (select i, 1 + i * 37 % ${POSTS} as p from generate_series($1::int + 1, $1::int + 1000) i where i % 10 > 0) x,
    lateral (select case when i % 10 > 7 then 1 + p * 7 % ${USERS} else 1 + i % ${USERS} end) y (u)
  union all
  select true, 'follow', false, 'follow:' || f || ':' || u, 'user.followed', u, f, 'user', u::text, null,
    'user.followed:2026-01-01', jsonb_build_object('followeeId', u::text)
  from (select 1 + i * 41 % ${USERS} as u, 1 + i * 43 % ${USERS} as f from generate_series($1::int + 1, $1::int + 1000) i where i % 10 = 0) x`
