import type pg from 'pg'
import type { Queryable } from '../../db/client.ts'
import { HELD } from '../../db/coalescer.ts'
import { type ColumnsOf, columns } from '../../db/columns.ts'
import { appendEventPerRow } from '../../notify/outbox/append.ts'
import { unblocked } from '../../notify/rules/silences.ts'
import { type HeldQuery, writePairs } from '../pairs.ts'
import { like } from './event.ts'

export type LikeRequest = { postId: string; userId: string; requestId: string }

/**
 * Result of a like or unlike. `null`: the post does not exist, is deleted, or is hidden by a block. `likeCount`: the
 * stored count plus this request's change.
 */
export type LikeOutcome = { likeCount: number } | null

/** A row of the result. `likeCount` null: another transaction has locked a row. */
type Row = { postId: string; userId: string; likeCount: number | null }

/**
 * Writes likes of many users in one statement. The pairs must be distinct. Results are in the order of the requests.
 * Never waits for a lock.
 */
export function likeBatch(db: Queryable, requests: LikeRequest[]): Promise<(LikeOutcome | typeof HELD)[]> {
  return writePairs(db, { ...likes, name: 'like_batch', text: likeStatement }, requests)
}

/** Removes likes. Otherwise like `likeBatch`. */
export function unlikeBatch(pool: pg.Pool, requests: LikeRequest[]): Promise<(LikeOutcome | typeof HELD)[]> {
  return writePairs(pool, { ...likes, name: 'unlike_batch', text: unlikeStatement }, requests)
}

const pair: ColumnsOf<LikeRequest> = {
  post_id: ['bigint', (request) => request.postId],
  user_id: ['bigint', (request) => request.userId],
}
const pairs = columns(pair, { hidden: true })
const requested = columns<LikeRequest>(
  { ...pair, request_id: ['text', (request) => request.requestId] },
  { hidden: true },
)

/**
 * The existing posts that no block hides, by id, locked against deletion until the commit, with the recipient of each
 * event. The joins look up single rows by primary key, whatever batch size the planner assumes. The sub-selects hide
 * that size from the planner, so it plans once instead of per batch.
 */
const visible = `
  select w.post_id, w.user_id, w.request_id, p.like_count,
         case when u.id <> w.user_id and u.deleted_at is null then u.id end as recipient_id
  from ${requested.from}
  join social.posts p on p.id = w.post_id and p.deleted_at is null
  join social.users u on u.id = p.author_id
  join social.users a on a.id = w.user_id and a.deleted_at is null
  where ${unblocked('w.user_id', 'p.author_id')}
  order by w.post_id, w.user_id
  for key share of p, a skip locked`

const heldLikes: HeldQuery<LikeRequest> = {
  name: 'held_likes',
  pairs,
  text: `
    select w.post_id as first, w.user_id as second
    from ${pairs.from}
    join social.posts p on p.id = w.post_id and p.deleted_at is null
    join social.users a on a.id = w.user_id and a.deleted_at is null
    where ${unblocked('w.user_id', 'p.author_id')}`,
}

const likes = {
  requests: requested,
  pair: ({ postId, userId }: LikeRequest | Row) => [postId, userId] as const,
  outcomeOf: ({ likeCount }: Row): LikeOutcome | typeof HELD => (likeCount === null ? HELD : { likeCount }),
  missing: null,
  held: heldLikes,
}

/**
 * Only rows that were actually written create an event. `in (select …)` in a select list is a hash lookup in every
 * plan. A join of two CTEs of unknown size may become a nested loop over the batch.
 */
const events = (retracts: boolean) =>
  appendEventPerRow({ action: like, retracts, from: 'outcome where changed', requestId: 'request_id' })

const likeStatement = `
  with visible as materialized (${visible}),
  liked as (
    insert into social.likes (post_id, user_id) select post_id, user_id from visible order by post_id, user_id
    on conflict do nothing
    returning post_id, user_id
  ),
  outcome as materialized (
    select s.*, (s.post_id, s.user_id) in (select l.post_id, l.user_id from liked l) as changed from visible s
  ),
  events as (${events(false)})
  select post_id as "postId", user_id as "userId", greatest(1, like_count + changed::int) as "likeCount" from outcome`

const unlikeStatement = `
  with visible as materialized (${visible}),
  locked as materialized (
    select l.post_id, l.user_id from visible s join social.likes l on l.post_id = s.post_id and l.user_id = s.user_id
    order by l.post_id, l.user_id
    for update of l skip locked
  ),
  held_likes as materialized (
    select s.post_id, s.user_id from visible s
    where (s.post_id, s.user_id) not in (select k.post_id, k.user_id from locked k)
      and exists (select from social.likes l where l.post_id = s.post_id and l.user_id = s.user_id)
  ),
  unliked as (
    delete from social.likes l using locked k where l.post_id = k.post_id and l.user_id = k.user_id
    returning l.post_id, l.user_id
  ),
  outcome as materialized (
    select s.*, (s.post_id, s.user_id) in (select l.post_id, l.user_id from unliked l) as changed from visible s
    where (s.post_id, s.user_id) not in (select h.post_id, h.user_id from held_likes h)
  ),
  events as (${events(true)})
  select post_id as "postId", user_id as "userId", greatest(0, like_count - changed::int) as "likeCount" from outcome
  union all select post_id, user_id, null::int from held_likes`
