import type pg from 'pg'
import type { Queryable } from '../../db/client.ts'
import { HELD } from '../../db/coalescer.ts'
import { type ColumnsOf, columns } from '../../db/columns.ts'
import { appendEventPerRow } from '../../notify/outbox/append.ts'
import { unblocked } from '../../notify/rules/silences.ts'
import { type HeldQuery, writePairs } from '../pairs.ts'
import { follow } from './event.ts'

export type FollowRequest = { followerId: string; followeeId: string; requestId: string }

type Row = { followerId: string; followeeId: string; held: boolean }

/**
 * Writes follows of many users in one statement. The pairs must be distinct. Results are in the order of the requests;
 * false when a user does not exist or one blocks the other. Never waits for a lock.
 */
export function followBatch(db: Queryable, requests: FollowRequest[]): Promise<(boolean | typeof HELD)[]> {
  return writePairs(db, { ...follows, name: 'follow_batch', text: followStatement, held: heldFollows }, requests)
}

/** Removes follows. Otherwise like `followBatch`. */
export function unfollowBatch(pool: pg.Pool, requests: FollowRequest[]): Promise<(boolean | typeof HELD)[]> {
  return writePairs(
    pool,
    { ...follows, name: 'unfollow_batch', text: unfollowStatement, held: heldUnfollows },
    requests,
  )
}

const pair: ColumnsOf<FollowRequest> = {
  follower_id: ['bigint', (request) => request.followerId],
  followee_id: ['bigint', (request) => request.followeeId],
}
const pairs = columns(pair, { hidden: true })
const requested = columns<FollowRequest>(
  { ...pair, request_id: ['text', (request) => request.requestId] },
  { hidden: true },
)

const users = `
  join social.users a on a.id = w.follower_id and a.deleted_at is null
  join social.users u on u.id = w.followee_id and u.deleted_at is null`

/** The pairs whose users both exist, locked against deletion until the commit. Looks up single rows by primary key. */
const existing = `
  select w.follower_id, w.followee_id, w.request_id
  from ${requested.from}
  ${users}
  order by w.follower_id, w.followee_id
  for key share of a, u skip locked`

const held = (condition = '') => `
  select w.follower_id as first, w.followee_id as second
  from ${pairs.from}
  ${users} ${condition}`
const heldFollows: HeldQuery<FollowRequest> = {
  pairs,
  name: 'held_follows',
  text: held(`where ${unblocked('w.follower_id', 'w.followee_id')}`),
}
const heldUnfollows: HeldQuery<FollowRequest> = { pairs, name: 'held_unfollows', text: held() }

const follows = {
  requests: requested,
  pair: ({ followerId, followeeId }: FollowRequest | Row) => [followerId, followeeId] as const,
  outcomeOf: (row: Row): boolean | typeof HELD => (row.held ? HELD : true),
  missing: false,
}

/** Only rows that were actually written create an event. src/social/likes/write.ts explains the form of `changed`. */
const events = (retracts: boolean) =>
  appendEventPerRow({ action: follow, retracts, from: 'outcome where changed', requestId: 'request_id' })

/**
 * `either_blocks` runs after these locks. A block also locks one of the two users: if it was committed before,
 * `either_blocks` sees it, even when that was after this statement began; if it comes later, it ends the follow.
 */
const followStatement = `
  with existing as materialized (${existing}),
  allowed as materialized (select * from existing where not social.either_blocks(follower_id, followee_id)),
  followed as (
    insert into social.follows (follower_id, followee_id)
    select follower_id, followee_id from allowed order by follower_id, followee_id
    on conflict do nothing
    returning follower_id, followee_id
  ),
  outcome as materialized (
    select s.*, (s.follower_id, s.followee_id) in (select f.follower_id, f.followee_id from followed f) as changed
    from allowed s
  ),
  events as (${events(false)})
  select follower_id as "followerId", followee_id as "followeeId", false as held from outcome`

const unfollowStatement = `
  with existing as materialized (${existing}),
  locked as materialized (
    select f.follower_id, f.followee_id from existing s
    join social.follows f on f.follower_id = s.follower_id and f.followee_id = s.followee_id
    order by f.follower_id, f.followee_id
    for update of f skip locked
  ),
  held_follows as materialized (
    select s.follower_id, s.followee_id from existing s
    where (s.follower_id, s.followee_id) not in (select k.follower_id, k.followee_id from locked k)
      and exists (select from social.follows f where f.follower_id = s.follower_id and f.followee_id = s.followee_id)
  ),
  unfollowed as (
    delete from social.follows f using locked k where f.follower_id = k.follower_id and f.followee_id = k.followee_id
    returning f.follower_id, f.followee_id
  ),
  outcome as materialized (
    select s.*, (s.follower_id, s.followee_id) in (select f.follower_id, f.followee_id from unfollowed f) as changed
    from existing s
    where (s.follower_id, s.followee_id) not in (select h.follower_id, h.followee_id from held_follows h)
  ),
  events as (${events(true)})
  select follower_id as "followerId", followee_id as "followeeId", false as held from outcome
  union all select follower_id, followee_id, true from held_follows`
