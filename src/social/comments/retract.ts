import type pg from 'pg'
import { retractSources } from '../../notify/dispatch/dispatch.ts'
import { removeNotifications, usersOfThread } from '../../notify/fan-outs/remove-notifications.ts'
import type { ChunkResult, FanOut } from '../../notify/fan-outs/run.ts'
import type { TypeLookup } from '../../notify/types/types.ts'

/**
 * After a comment is marked as deleted, takes back its notifications, and removes those about it, including replies to
 * it. The comments below it remain. The thread distinguishes it from another application's comment with the same id.
 */
export async function retractCommentChunk(
  client: pg.ClientBase,
  fanOut: FanOut,
  types: TypeLookup,
): Promise<ChunkResult> {
  const users = await usersOfThread(client, fanOut)
  const last = users.at(-1)
  if (last === undefined) return 'finished'
  const removed = await removeNotifications(
    client,
    types,
    users,
    `n.object_type = 'comment' and n.object_id = ($2::text[])[1] and n.thread_key = ($2::text[])[2]`,
    [fanOut.objectId, fanOut.threadKey],
    'object_gone',
  )
  if (removed > 0) return { cursorUserId: fanOut.cursorUserId }
  await retractSources(client, types, 'user_id = any($1::bigint[]) and source_id = $2 and live', [
    users,
    `comment:${fanOut.objectId}`,
  ])
  return { cursorUserId: last }
}
