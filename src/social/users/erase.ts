import type pg from 'pg'
import type { Chunk, ChunkResult, FanOut } from '../../notify/fan-outs/run.ts'
import { appendRetractions, type Taken } from '../../notify/outbox/append.ts'
import { comment } from '../comments/event.ts'
import { takenFollows } from '../follows/event.ts'
import { like } from '../likes/event.ts'
import { freeMedia } from '../media/free.ts'
import { post } from '../posts/event.ts'

/** Rows per transaction. Each creates an event, or a fan-out of its own. */
const ROWS_PER_CHUNK = 500
const CLEARED_PER_CHUNK = 5000

/**
 * After a user is marked as deleted, takes back the user's actions row by row, each with its event, and then clears the
 * inbox. The row in social.users remains without name or address; retention removes sessions. Each step handles one
 * chunk and returns its number of rows. The first step that finds rows ends the chunk.
 */
export const deleteUserChunk: Chunk = async (client, fanOut): Promise<ChunkResult> => {
  for (const step of [unlike, unfollow, loseFollowers, deleteComments, deletePosts, dropMedia, ...clearing])
    if ((await step(client, fanOut.objectId)) > 0) return { cursorUserId: fanOut.cursorUserId }
  return 'finished'
}

type Step = (client: pg.ClientBase, userId: FanOut['objectId']) => Promise<number>

const unlike: Step = takingBack({
  action: like,
  ctes: `gone as (
    delete from social.likes where user_id = $1 and post_id = any(array(
      select post_id from social.likes where user_id = $1 order by post_id limit ${ROWS_PER_CHUNK} for update))
    returning post_id, user_id)`,
  from: '(select gone.*, nullif(p.author_id, user_id) as recipient_id from gone join social.posts p on p.id = gone.post_id) likes',
})

const unfollow: Step = follows('follower_id', 'followee_id')
const loseFollowers: Step = follows('followee_id', 'follower_id')

function follows(mine: string, other: string): Step {
  return takingBack(
    takenFollows(`
      delete from social.follows where ${mine} = $1 and ${other} = any(array(
        select ${other} from social.follows where ${mine} = $1 order by ${other} limit ${ROWS_PER_CHUNK} for update))`),
  )
}

const deleteComments: Step = takingBack({
  action: comment,
  ctes: `gone as (
    update social.comments set deleted_at = now(), body = '', mentions = null where id = any(array(
      select id from social.comments where author_id = $1 and deleted_at is null order by id limit ${ROWS_PER_CHUNK} for update))
    returning id, post_id, parent_id, author_id),
  fan_outs as (
    insert into notify.fan_outs (kind, object_id, thread_key) select 'retract_comment', id, 'post:' || post_id from gone
    on conflict on constraint fan_out_once do nothing)`,
  from: 'gone',
})

const deletePosts: Step = takingBack({
  action: post,
  ctes: `gone as (
    update social.posts set deleted_at = now() where id = any(array(
      select id from social.posts where author_id = $1 and deleted_at is null order by id limit ${ROWS_PER_CHUNK} for update))
    returning id, author_id),
  fan_outs as (
    insert into notify.fan_outs (kind, object_id, thread_key) select 'retract_post', id, 'post:' || id from gone
    on conflict on constraint fan_out_once do nothing)`,
  from: 'gone',
})

/** Deleting a post frees its media. */
const dropMedia: Step = (client, userId) => freeMedia(client, 'owner_id = $1 and post_id is null', [userId])

function takingBack(taken: Taken): Step {
  return (client, userId) => appendRetractions(client, taken, [userId])
}

/**
 * Deletes the inbox row first. From then on dispatch finds no recipient and adds nothing for the next chunks to clear.
 * The windows follow, because a flush skips those without an inbox.
 */
const clearing: Step[] = [
  'delete from notify.inbox where user_id = $1',
  clearRows('notify.windows', 'group_key'),
  clearRows('notify.notifications', 'id'),
  clearRows('notify.sources', 'source_id'),
  clearRows('notify.tombstones', 'modseq'),
  clearRows('notify.journal', 'until'),
  clearRows('social.bookmarks', 'post_id'),
  'delete from notify.preferences where user_id = $1',
  clearRows('social.bells', 'author_id'),
  clearRows('social.bells', 'user_id', 'author_id'),
  'delete from notify.push_subscriptions where user_id = $1',
  clearRows('notify.deliveries', 'notification_id'),
  clearRows('notify.delivery_log', 'at', 'recipient_id'),
  `delete from notify.pending where recipient_id = $1 and dead_at is not null`,
  clearRows('social.idempotency_keys', 'key', 'caller', `'user:' || $1`),
  clearRows('social.blocks', 'other_id'),
  clearRows('social.blocks', 'user_id', 'other_id'),
  clearRows('social.mutes', 'other_id'),
  clearRows('social.mutes', 'user_id', 'other_id'),
  clearRows('social.thread_mutes', 'post_id'),
].map(
  (statement): Step =>
    async (client, userId) =>
      (await client.query(statement, [userId])).rowCount ?? 0,
)

/** Deletes rows of a user, whose `owner` is `user`. `key` identifies them. */
function clearRows(table: string, key: string, owner = 'user_id', user = '$1'): string {
  return `delete from ${table} where ${owner} = ${user} and ${key} = any(array(
            select ${key} from ${table} where ${owner} = ${user} order by ${key} limit ${CLEARED_PER_CHUNK}))`
}
