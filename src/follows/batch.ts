import type pg from 'pg'
import { unblocked } from '../notifications/silences.ts'

export type FollowRequest = { followerId: string; followeeId: string; requestId: string }

/** Follows of many people in one statement; no pair twice. Answers in the order of the requests; false: no such user, or one blocks the other. */
export function followBatch(pool: pg.Pool, requests: FollowRequest[]): Promise<boolean[]> {
  return runBatch(pool, 'follow_batch', followStatement, requests)
}

/** Takes follows back; otherwise as `followBatch`. */
export function unfollowBatch(pool: pg.Pool, requests: FollowRequest[]): Promise<boolean[]> {
  return runBatch(pool, 'unfollow_batch', unfollowStatement, requests)
}

async function runBatch(pool: pg.Pool, name: string, text: string, requests: FollowRequest[]): Promise<boolean[]> {
  const { rows } = await pool.query<{ followerId: string; followeeId: string }>({
    name,
    text,
    values: [
      requests.map((request) => request.followerId),
      requests.map((request) => request.followeeId),
      requests.map((request) => request.requestId),
    ],
  })
  const found = new Set(rows.map((row) => `${row.followerId} ${row.followeeId}`))
  return requests.map(({ followerId, followeeId }) => found.has(`${followerId} ${followeeId}`))
}

/** The pairs whose users both stand, locked against deletion until the commit. Single rows, looked up by primary key. */
const standing = (condition = '') => `
  select w.follower_id, w.followee_id, w.request_id
  from unnest((select $1::bigint[]), (select $2::bigint[]), (select $3::text[])) w (follower_id, followee_id, request_id)
  join social.users a on a.id = w.follower_id and a.deleted_at is null
  join social.users u on u.id = w.followee_id and u.deleted_at is null
  ${condition}
  order by w.follower_id, w.followee_id
  for key share of a, u`

/** Only rows that were really written make an event; for the form of `changed` see src/likes/batch.ts. */
const events = (retracts: boolean) => `
  insert into notify.outbox (action, retracts, counted, source_id, type, recipient_id, actor_id, object_type, object_id,
    group_key, data, request_id)
  select 'follow', ${retracts}, true, 'follow:' || follower_id || ':' || followee_id, 'user.followed',
    followee_id, follower_id, 'user', followee_id::text,
    'user.followed:' || to_char(now() at time zone 'utc', 'YYYY-MM-DD'),
    jsonb_build_object('followeeId', followee_id::text), request_id
  from outcome where changed`

const followStatement = `
  with standing as materialized (${standing(`where ${unblocked('w.follower_id', 'w.followee_id')}`)}),
  followed as (
    insert into social.follows (follower_id, followee_id)
    select follower_id, followee_id from standing order by follower_id, followee_id
    on conflict do nothing
    returning follower_id, followee_id
  ),
  outcome as materialized (
    select s.*, (s.follower_id, s.followee_id) in (select f.follower_id, f.followee_id from followed f) as changed
    from standing s
  ),
  events as (${events(false)})
  select follower_id as "followerId", followee_id as "followeeId" from outcome`

const unfollowStatement = `
  with standing as materialized (${standing()}),
  locked as materialized (
    select f.follower_id, f.followee_id from standing s
    join social.follows f on f.follower_id = s.follower_id and f.followee_id = s.followee_id
    order by f.follower_id, f.followee_id
    for update of f
  ),
  unfollowed as (
    delete from social.follows f using locked k where f.follower_id = k.follower_id and f.followee_id = k.followee_id
    returning f.follower_id, f.followee_id
  ),
  outcome as materialized (
    select s.*, (s.follower_id, s.followee_id) in (select f.follower_id, f.followee_id from unfollowed f) as changed
    from standing s
  ),
  events as (${events(true)})
  select follower_id as "followerId", followee_id as "followeeId" from outcome`
