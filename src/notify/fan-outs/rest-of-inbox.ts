import type pg from 'pg'
import { lockInboxes } from '../dispatch/objects.ts'
import { notifyPushNodes } from '../dispatch/store.ts'
import { restOfInbox } from '../inbox/mark.ts'
import type { ChunkResult, FanOut } from './run.ts'

/** Continues a request that marked a large inbox as read or seen, archived it, or deleted it. */
export async function restOfInboxChunk(
  client: pg.ClientBase,
  { kind, objectId: userId, cursorUserId }: FanOut,
): Promise<ChunkResult> {
  const inboxes = await lockInboxes(client, [userId], false)
  if (inboxes.size === 0) return 'finished'
  const rest = await restOfInbox[kind]?.(client, userId, Number(cursorUserId))
  if (!rest) throw new Error(`unknown kind of fan-out: ${kind}`)
  if (rest.updated > 0) await notifyPushNodes(client, new Map([[userId, rest.modseq]]))
  return rest.next === null ? 'finished' : { cursorUserId: String(rest.next) }
}
