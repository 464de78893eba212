import { setTimeout as delay } from 'node:timers/promises'
import { sql } from 'kysely'
import type pg from 'pg'
import type { App } from '../../app.ts'
import { HELD } from '../../db/coalescer.ts'
import { build, run } from '../../db/kysely.ts'
import { inTransaction } from '../../db/transaction.ts'
import { AppError, fail } from '../../errors.ts'
import { appendEvents } from '../../notify/outbox/append.ts'
import { unblocked } from '../../notify/rules/silences.ts'
import type { Comment } from '../../protocol/comment.ts'
import { editStatement } from '../posts/edit-text.ts'
import { findMentioned, type Mentioned } from '../posts/mentions.ts'
import type { Actor } from '../posts/write.ts'
import { creationEvents, retraction } from './event.ts'
import { getComment } from './read.ts'

export type NewComment = { postId: string; parentId: string | null; body: string }

/**
 * Inserts the comment and its events in the caller's transaction. The caller calls `eventsAppended` after the commit.
 * Locks the post and the parent `for key share`, so that their deletion waits or is visible here. Does not wait for a
 * locked row, because waiting occupies a connection.
 * @throws {AppError} POST_NOT_FOUND; COMMENT_NOT_FOUND when the post has no such parent; UNAUTHENTICATED; BUSY
 */
export async function insertComment(client: pg.ClientBase, actor: Actor, comment: NewComment): Promise<Comment> {
  const postAuthorId = await lockPost(client, actor, comment.postId)
  const parentAuthorId =
    comment.parentId === null ? null : await lockParent(client, actor, comment.postId, comment.parentId)
  const mentioned = await findMentioned(client, comment.body)
  const id = await insertRow(client, actor, comment, mentioned)
  const facts = { authorId: actor.userId, postAuthorId, parentAuthorId, mentionedIds: mentioned.ids }
  await appendEvents(client, creationEvents({ ...comment, id }, actor, facts))
  return getComment(client, id)
}

/** @throws {AppError} COMMENT_NOT_FOUND, NOT_AUTHOR */
export async function editComment(app: App, actor: Actor, commentId: string, body: string): Promise<Comment> {
  const comment = await inTransaction(app.pool, async (client) => {
    const { postId } = await lockOwnComment(client, actor, commentId, 'for no key update')
    const { stored } = await findMentioned(client, body)
    await client.query(editStatement('comment'), [commentId, body, stored, `post:${postId}`])
    return getComment(client, commentId)
  })
  app.wakeUps.commentEdited(comment.postId)
  return comment
}

/**
 * Marks the comment as deleted and empties it. The row remains, so that replies keep their place. The fan-out takes
 * back its notifications. As for posts, the update holds the row `for update`.
 * @throws {AppError} COMMENT_NOT_FOUND, NOT_AUTHOR
 */
export async function deleteComment(app: App, actor: Actor, commentId: string): Promise<void> {
  await inTransaction(app.pool, async (client) => {
    const comment = await lockOwnComment(client, actor, commentId, 'for update')
    await run(
      client,
      build
        .updateTable('social.comments')
        .set({ deletedAt: sql<Date>`now()`, body: '', mentions: null })
        .where('id', '=', commentId),
    )
    await appendEvents(client, [retraction({ ...comment, id: commentId }, actor)])
    await run(
      client,
      build
        .insertInto('notify.fanOuts')
        .values({ kind: 'retract_comment', objectId: commentId, threadKey: `post:${comment.postId}` }),
    )
  })
  app.wakeUps.eventsAppended()
}

/** SQL conditions for a post and a parent that the user can see. One hidden by a block counts as missing. */
const visiblePost = `p.id = $1 and p.deleted_at is null and ${unblocked('$2::bigint', 'p.author_id')}`
const visibleParent = `c.id = $1 and c.post_id = $2 and c.deleted_at is null and ${unblocked('$3::bigint', 'c.author_id')}`

/** Returns the post's author, or null when that account is deleted. */
async function lockPost(client: pg.ClientBase, { userId }: Actor, postId: string): Promise<string | null> {
  const { rows } = await client.query<{ authorId: string | null }>({
    name: 'lock_post_of_comment',
    text: `select case when u.deleted_at is null then u.id end as "authorId"
           from social.posts p join social.users u on u.id = p.author_id
           where ${visiblePost} for key share of p skip locked`,
    values: [postId, userId],
  })
  if (rows[0]) return rows[0].authorId
  const held = await client.query(`select from social.posts p where ${visiblePost}`, [postId, userId])
  throw held.rowCount ? busy() : fail('POST_NOT_FOUND')
}

async function lockParent(
  client: pg.ClientBase,
  { userId }: Actor,
  postId: string,
  parentId: string,
): Promise<string | null> {
  const { rows } = await client.query<{ authorId: string | null }>({
    name: 'lock_parent_of_comment',
    text: `select case when u.deleted_at is null then u.id end as "authorId"
           from social.comments c join social.users u on u.id = c.author_id
           where ${visibleParent} for key share of c skip locked`,
    values: [parentId, postId, userId],
  })
  if (rows[0]) return rows[0].authorId
  const held = await client.query(`select from social.comments c where ${visibleParent}`, [parentId, postId, userId])
  throw held.rowCount ? busy() : fail('COMMENT_NOT_FOUND')
}

/** Error for a locked row, for `whenFree`. Usually a deletion is in progress, after which the row no longer exists. */
export function busy(): AppError {
  return fail('BUSY', 'Try again', { retryAfter: 1, cause: HELD })
}

const TRIES = 5
const FIRST_PAUSE_MS = 50

/**
 * Runs `work`, which inserts a comment in its own transaction, again while the post or the parent is locked: five tries
 * within a second, without a connection in the pauses. A deletion takes milliseconds.
 * @throws {AppError} BUSY when the row is locked for longer
 */
export async function whenFree<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1)
    try {
      return await work()
    } catch (error) {
      if (attempt === TRIES || !(error instanceof AppError) || error.cause !== HELD) throw error
      await delay(FIRST_PAUSE_MS * 2 ** (attempt - 1))
    }
}

async function insertRow(
  client: pg.ClientBase,
  actor: Actor,
  comment: NewComment,
  { stored }: Mentioned,
): Promise<string> {
  const { rows } = await client.query<{ id: string }>({
    name: 'insert_comment',
    text: `insert into social.comments (post_id, parent_id, author_id, body, mentions)
           select $1, $2, u.id, $3, $5 from social.users u where u.id = $4 and u.deleted_at is null for key share
           returning id`,
    values: [comment.postId, comment.parentId, comment.body, actor.userId, stored],
  })
  if (!rows[0]) throw fail('UNAUTHENTICATED')
  return rows[0].id
}

/** Locks the post first and then the comment, as all code does. Deleting a post also deletes its comments. */
async function lockOwnComment(
  client: pg.ClientBase,
  actor: Actor,
  commentId: string,
  lock: 'for update' | 'for no key update',
) {
  const { rows: posts } = await client.query(
    `select p.id from social.posts p where p.deleted_at is null
       and p.id = (select c.post_id from social.comments c where c.id = $1) for key share`,
    [commentId],
  )
  if (posts.length === 0) throw fail('COMMENT_NOT_FOUND')
  const { rows } = await client.query<{ postId: string; parentId: string | null; authorId: string }>(
    `select c.post_id as "postId", c.parent_id as "parentId", c.author_id as "authorId" from social.comments c
     where c.id = $1 and c.deleted_at is null and ${unblocked('$2::bigint', 'c.author_id')} ${lock}`,
    [commentId, actor.userId],
  )
  if (!rows[0]) throw fail('COMMENT_NOT_FOUND')
  if (rows[0].authorId !== actor.userId) throw fail('NOT_AUTHOR')
  return rows[0]
}
