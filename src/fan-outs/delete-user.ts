import type pg from 'pg'
import { appendRetractions } from './append-retractions.ts'
import type { Chunk, ChunkResult, FanOut } from './run.ts'

/** Rows per transaction: each makes an event, or a fan-out of its own. */
const ROWS_PER_CHUNK = 500
const INBOX_ROWS_PER_CHUNK = 5000

/**
 * After a user was marked as deleted: takes back what they did, row by row and each with its event, then clears their
 * inbox. The row in social.users stays, without name or address. Each step does one chunk of what is left and says how many
 * rows that was; the first step that finds something ends the chunk.
 */
export const deleteUserChunk: Chunk = async (client, fanOut): Promise<ChunkResult> => {
  for (const step of [unlike, unfollow, loseFollowers, deleteComments, deletePosts, ...clearing])
    if ((await step(client, fanOut.objectId)) > 0) return { cursorUserId: fanOut.cursorUserId }
  return 'finished'
}

type Step = (client: pg.ClientBase, userId: FanOut['objectId']) => Promise<number>

const unlike: Step = (client, userId) =>
  appendRetractions(
    client,
    `with gone as (
       delete from social.likes where user_id = $1 and post_id = any(array(
         select post_id from social.likes where user_id = $1 order by post_id limit ${ROWS_PER_CHUNK} for update))
       returning post_id, user_id)
     select 'like' as action, 'like:' || g.post_id || ':' || g.user_id as source_id, nullif(p.author_id, g.user_id) as recipient_id,
       'post.liked' as type, g.user_id as actor_id, 'post' as object_type, p.id as object_id, 'post:' || p.id as thread_key,
       jsonb_build_object('postId', p.id::text) as data
     from gone g join social.posts p on p.id = g.post_id`,
    userId,
  )

const follows = (whose: 'follower_id' | 'followee_id', other: 'follower_id' | 'followee_id') => `
  with gone as (
    delete from social.follows where ${whose} = $1 and ${other} = any(array(
      select ${other} from social.follows where ${whose} = $1 order by ${other} limit ${ROWS_PER_CHUNK} for update))
    returning follower_id, followee_id)
  select 'follow' as action, 'follow:' || follower_id || ':' || followee_id as source_id, followee_id as recipient_id,
    'user.followed' as type, follower_id as actor_id, 'user' as object_type, followee_id as object_id, null as thread_key,
    jsonb_build_object('followeeId', followee_id::text) as data
  from gone`
const unfollow: Step = (client, userId) => appendRetractions(client, follows('follower_id', 'followee_id'), userId)
const loseFollowers: Step = (client, userId) => appendRetractions(client, follows('followee_id', 'follower_id'), userId)

const deleteComments: Step = (client, userId) =>
  appendRetractions(
    client,
    `with gone as (
       update social.comments set deleted_at = now(), body = '' where id = any(array(
         select id from social.comments where author_id = $1 and deleted_at is null order by id limit ${ROWS_PER_CHUNK} for update))
       returning id, post_id, parent_id, author_id),
     fan_outs as (
       insert into notify.fan_outs (kind, object_id, thread_key) select 'retract_comment', id, 'post:' || post_id from gone
       on conflict on constraint fan_out_once do nothing)
     select 'comment' as action, 'comment:' || id as source_id, null::bigint as recipient_id, null as type, author_id as actor_id,
       'comment' as object_type, id as object_id, 'post:' || post_id as thread_key,
       jsonb_build_object('postId', post_id::text, 'commentId', id::text, 'parentId', parent_id::text) as data
     from gone`,
    userId,
  )

const deletePosts: Step = (client, userId) =>
  appendRetractions(
    client,
    `with gone as (
       update social.posts set deleted_at = now() where id = any(array(
         select id from social.posts where author_id = $1 and deleted_at is null order by id limit ${ROWS_PER_CHUNK} for update))
       returning id, author_id),
     fan_outs as (
       insert into notify.fan_outs (kind, object_id, thread_key) select 'retract_post', id, 'post:' || id from gone
       on conflict on constraint fan_out_once do nothing)
     select 'post' as action, 'post:' || id as source_id, null::bigint as recipient_id, null as type, author_id as actor_id,
       'post' as object_type, id as object_id, 'post:' || id as thread_key, jsonb_build_object('postId', id::text) as data
     from gone`,
    userId,
  )

/** The inbox row goes first: from then on dispatch finds no recipient, and nothing is added to what the next chunks clear. */
const clearing: Step[] = [
  'delete from notify.inbox where user_id = $1',
  clearInbox('notify.notifications', 'id'),
  clearInbox('notify.sources', 'source_id'),
  clearInbox('notify.tombstones', 'modseq'),
  'delete from social.blocks where user_id = $1',
  'delete from social.blocks where other_id = $1',
  'delete from social.sessions where user_id = $1',
].map(
  (statement): Step =>
    async (client, userId) =>
      (await client.query(statement, [userId])).rowCount ?? 0,
)

function clearInbox(table: string, key: string): string {
  return `delete from ${table} where user_id = $1 and ${key} = any(array(
            select ${key} from ${table} where user_id = $1 order by ${key} limit ${INBOX_ROWS_PER_CHUNK}))`
}
