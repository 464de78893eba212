import type pg from 'pg'
import { retractSources } from '../../notify/dispatch/dispatch.ts'
import { type Removal, removeNotifications, usersOfThread } from '../../notify/fan-outs/remove-notifications.ts'
import { type ChunkResult, type FanOut, HELD_SECONDS, noteHeld } from '../../notify/fan-outs/run.ts'
import type { TypeLookup } from '../../notify/types/types.ts'

/**
 * After a comment is marked as deleted, takes back its notifications, and removes those about it, including replies to
 * it. The comments below it remain. Held inboxes are noted in `except_ids` and come last, so that nobody else waits for
 * them.
 */
export async function retractCommentChunk(
  client: pg.ClientBase,
  fanOut: FanOut,
  types: TypeLookup,
): Promise<ChunkResult> {
  const users = await usersOfThread(client, fanOut)
  const last = users.at(-1)
  if (last === undefined) return retractHeld(client, fanOut, types)
  const { removed, held } = await retract(client, fanOut, types, users)
  if (removed > 0) return { cursorUserId: fanOut.cursorUserId }
  if (held.length > 0) await noteHeld(client, fanOut, [...fanOut.exceptIds, ...held])
  return { cursorUserId: last }
}

async function retractHeld(client: pg.ClientBase, fanOut: FanOut, types: TypeLookup): Promise<ChunkResult> {
  const { removed, held } = await retract(client, fanOut, types, fanOut.exceptIds)
  if (removed > 0) return { cursorUserId: fanOut.cursorUserId }
  if (held.length === 0) return 'finished'
  await noteHeld(client, fanOut, held)
  return { cursorUserId: fanOut.cursorUserId, afterSeconds: HELD_SECONDS }
}

/**
 * Removes the next notifications of these users. When none is left, retracts the sources of those whose inbox is not held. The
 * thread distinguishes the comment from another application's with the same id.
 */
async function retract(
  client: pg.ClientBase,
  { objectId, threadKey }: FanOut,
  types: TypeLookup,
  users: string[],
): Promise<Removal> {
  if (users.length === 0) return { removed: 0, held: [] }
  const removal = await removeNotifications(
    client,
    types,
    users,
    `n.object_type = 'comment' and n.object_id = ($2::text[])[1] and n.thread_key = ($2::text[])[2]`,
    [objectId, threadKey],
    'object_gone',
  )
  if (removal.removed > 0) return removal
  const held = new Set(removal.held)
  await retractSources(client, types, 'user_id = any($1::bigint[]) and source_id = $2 and live', [
    users.filter((userId) => !held.has(userId)),
    `comment:${objectId}`,
  ])
  return removal
}
