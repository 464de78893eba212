import { sql } from 'kysely'
import type pg from 'pg'
import type { App } from '../../app.ts'
import { build, run } from '../../db/kysely.ts'
import { inTransaction } from '../../db/transaction.ts'
import { fail } from '../../errors.ts'
import { appendEvents } from '../../notify/outbox/append.ts'
import { recipientsOfPost } from '../../notify/rules/recipients.ts'
import { unblocked } from '../../notify/rules/silences.ts'
import { publishToBells, stopPublishing } from '../bells/publish.ts'
import { attachMedia } from '../media/use.ts'
import { editStatement } from './edit-text.ts'
import { postEvent } from './event.ts'
import { findMentioned } from './mentions.ts'
import { getPost } from './read.ts'
import type { Post } from './view.ts'

export type Actor = { userId: string; requestId: string }

/**
 * Inserts the post and its events in the caller's transaction. The caller calls `eventsAppended` after the commit.
 * @throws {AppError} MEDIA_NOT_USABLE; UNAUTHENTICATED when the author's account was deleted meanwhile
 */
export async function insertPost(client: pg.ClientBase, actor: Actor, body: string, mediaIds: string[]): Promise<Post> {
  const mentioned = await findMentioned(client, body)
  const { rows } = await client.query<{ id: string }>({
    name: 'insert_post',
    text: `insert into social.posts (author_id, body, mentions)
           select u.id, $2, $3 from social.users u where u.id = $1 and u.deleted_at is null for key share
           returning id`,
    values: [actor.userId, body, mentioned.stored],
  })
  const id = rows[0]?.id
  if (id === undefined) throw fail('UNAUTHENTICATED')
  await attachMedia(client, actor.userId, id, mediaIds)
  const recipients = recipientsOfPost({ authorId: actor.userId, mentionedIds: mentioned.ids })
  const event = postEvent(id, actor)
  const events = recipients.map((one, index) => ({ ...event, ...one, counted: index === 0 }))
  await appendEvents(client, events.length > 0 ? events : [event])
  await publishToBells(client, event, mentioned.ids)
  return getPost(client, actor.userId, id)
}

/** @throws {AppError} POST_NOT_FOUND, NOT_AUTHOR */
export function editPost(app: App, actor: Actor, postId: string, body: string): Promise<Post> {
  return inTransaction(app.pool, async (client) => {
    await lockOwnPost(client, actor, postId, 'for no key update')
    const { stored } = await findMentioned(client, body)
    await client.query(editStatement('post'), [postId, body, stored, `post:${postId}`])
    return getPost(client, actor.userId, postId)
  })
}

/**
 * Marks the post as deleted. The fan-out takes back its notifications and deletes the rows below. Sets the mark under
 * `for update`. A transaction that refers to the post holds it `for key share`, so it comes before the mark or sees it.
 * @throws {AppError} POST_NOT_FOUND, NOT_AUTHOR
 */
export async function deletePost(app: App, actor: Actor, postId: string): Promise<void> {
  await inTransaction(app.pool, async (client) => {
    await stopPublishing(client, postId)
    await lockOwnPost(client, actor, postId, 'for update')
    await run(client, build.updateTable('social.posts').set({ deletedAt: sql<Date>`now()` }).where('id', '=', postId))
    await appendEvents(client, [{ ...postEvent(postId, actor), retracts: true }])
    await run(
      client,
      build
        .insertInto('notify.fanOuts')
        .values({ kind: 'retract_post', objectId: postId, threadKey: `post:${postId}` }),
    )
  })
  app.wakeUps.eventsAppended()
}

async function lockOwnPost(
  client: pg.ClientBase,
  actor: Actor,
  postId: string,
  lock: 'for update' | 'for no key update',
) {
  const { rows } = await client.query<{ authorId: string }>(
    `select p.author_id as "authorId" from social.posts p
     where p.id = $1 and p.deleted_at is null and ${unblocked('$2::bigint', 'p.author_id')} ${lock}`,
    [postId, actor.userId],
  )
  if (!rows[0]) throw fail('POST_NOT_FOUND')
  if (rows[0].authorId !== actor.userId) throw fail('NOT_AUTHOR')
}
