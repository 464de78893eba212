import type pg from 'pg'
import { lockInboxes } from '../dispatch/objects.ts'
import { notifyPushNodes } from '../dispatch/store.ts'
import { restOfInbox } from '../inbox/mark.ts'
import { endSourcesChunk } from './end-sources.ts'
import { afterHeld, type ChunkResult, type FanOut, type FanOutKinds } from './run.ts'
import { showAnewChunk } from './show-anew.ts'

/** The kinds of fan-outs that only concern inboxes. */
export const inboxFanOuts: FanOutKinds = {
  end_sources: endSourcesChunk,
  show_post: showAnewChunk('post'),
  show_comment: showAnewChunk('comment'),
  read_inbox: restOfInboxChunk,
  archive_inbox: restOfInboxChunk,
  delete_inbox: restOfInboxChunk,
  see_inbox: restOfInboxChunk,
}

/** Continues a request that marked a large inbox as read or seen, archived it, or deleted it. */
async function restOfInboxChunk(
  client: pg.ClientBase,
  { kind, objectId: userId, cursorUserId, exceptIds }: FanOut,
): Promise<ChunkResult> {
  const inboxes = await lockInboxes(client, [userId], true)
  if (inboxes.size === 0) return afterHeld(client, userId, cursorUserId)
  const rest = await restOfInbox[kind]?.(client, userId, { upTo: Number(cursorUserId), except: exceptIds })
  if (!rest) throw new Error(`unknown kind of fan-out: ${kind}`)
  if (rest.updated > 0) await notifyPushNodes(client, new Map([[userId, rest.modseq]]))
  return rest.next === null ? 'finished' : { cursorUserId: String(rest.next) }
}
