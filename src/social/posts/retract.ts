import type pg from 'pg'
import { build, run } from '../../db/kysely.ts'
import { removeNotifications, usersOfThread } from '../../notify/fan-outs/remove-notifications.ts'
import { type ChunkResult, type FanOut, HELD_SECONDS } from '../../notify/fan-outs/run.ts'
import type { TypeLookup } from '../../notify/types/types.ts'
import { freeMedia } from '../media/free.ts'

const ROWS_PER_CHUNK = 5000

/**
 * After a post is marked as deleted, removes its thread's notifications user by user, then the rows below the post,
 * then the post. Dispatch checks the mark under a lock, so nothing appears behind the cursor.
 */
export async function retractPostChunk(client: pg.ClientBase, fanOut: FanOut, types: TypeLookup): Promise<ChunkResult> {
  const remove = (users: string[]) =>
    removeNotifications(client, types, users, 'n.thread_key = $2', fanOut.threadKey, 'object_gone')
  const users = await usersOfThread(client, fanOut)
  if (users.length > 0) {
    const { removed } = await remove(users)
    return { cursorUserId: removed > 0 ? fanOut.cursorUserId : (users.at(-1) ?? fanOut.cursorUserId) }
  }
  // Continues with users whose inbox was locked when the cursor passed. They did not delay the others.
  const passed = await usersOfThread(client, { threadKey: fanOut.threadKey, cursorUserId: '0' })
  if (passed.length > 0) {
    const { removed } = await remove(passed)
    return { cursorUserId: '0', afterSeconds: removed > 0 ? 0 : HELD_SECONDS }
  }
  const cleared =
    (await clearPairs(client, 'likes', fanOut.objectId)) +
    (await clearPairs(client, 'bookmarks', fanOut.objectId)) +
    (await clearPairs(client, 'thread_mutes', fanOut.objectId)) +
    (await clearComments(client, fanOut.objectId)) +
    (await freeMedia(client, 'post_id = $1', [fanOut.objectId]))
  if (cleared > 0) return { cursorUserId: fanOut.cursorUserId }
  await run(client, build.deleteFrom('social.posts').where('id', '=', fanOut.objectId))
  return 'finished'
}

type Pairs = 'likes' | 'bookmarks' | 'thread_mutes'

/** Order of each table's index, so that no chunk sorts all likes of the post. */
const orderOf: Record<Pairs, string> = { likes: 'created_at, user_id', bookmarks: 'user_id', thread_mutes: 'user_id' }

async function clearPairs(client: pg.ClientBase, table: Pairs, postId: string): Promise<number> {
  const { rowCount } = await client.query(
    `delete from social.${table} where post_id = $1 and user_id = any(array(
       select user_id from social.${table} where post_id = $1 order by ${orderOf[table]} limit ${ROWS_PER_CHUNK}))`,
    [postId],
  )
  return rowCount ?? 0
}

/** Deletes comments newest first. A reply has a higher id than its parent, so no reply loses its parent. */
async function clearComments(client: pg.ClientBase, postId: string): Promise<number> {
  const { rowCount } = await client.query(
    `delete from social.comments where id = any(array(
       select id from social.comments where post_id = $1 order by id desc limit ${ROWS_PER_CHUNK}))`,
    [postId],
  )
  return rowCount ?? 0
}
