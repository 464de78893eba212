import type pg from 'pg'
import { foldEvents } from '../notifications/fold.ts'
import { loadForFold } from '../notifications/load.ts'
import { lockInboxes } from '../notifications/locks.ts'
import { storeFolded } from '../notifications/store.ts'
import type { TypeLookup } from '../notifications/types.ts'
import { retractionOf } from '../outbox/event.ts'
import { removeNotifications, usersOfThread } from './remove-notifications.ts'
import type { ChunkResult, FanOut } from './run.ts'

/**
 * After a comment was marked as deleted: takes it back from everyone who was told of it, and removes what spoke of it,
 * replies to it among them. The comments below it stay.
 */
export async function retractCommentChunk(
  client: pg.ClientBase,
  fanOut: FanOut,
  types: TypeLookup,
): Promise<ChunkResult> {
  const users = await usersOfThread(client, fanOut)
  const last = users.at(-1)
  if (last === undefined) return 'finished'
  await removeNotifications(
    client,
    types,
    users,
    `n.object_type = 'comment' and n.object_id = $2`,
    fanOut.objectId,
    'object_gone',
  )
  await retractSource(client, types, users, `comment:${fanOut.objectId}`)
  return { cursorUserId: last }
}

/** As if each of these users had been sent a retraction of the source now. */
async function retractSource(
  client: pg.ClientBase,
  types: TypeLookup,
  users: string[],
  sourceId: string,
): Promise<void> {
  const { rows } = await client.query<{ userId: string; eventId: number }>(
    `select user_id as "userId", nextval('notify.outbox_id_seq')::float8 as "eventId" from notify.sources
     where user_id = any($1::bigint[]) and source_id = $2 and live`,
    [users, sourceId],
  )
  if (rows.length === 0) return
  const events = rows.map(({ userId, eventId }) => retractionOf(userId, sourceId, eventId))
  const inboxes = await lockInboxes(client, users, false)
  const loaded = await loadForFold(client, types, inboxes, events, new Set())
  await storeFolded(client, types, inboxes, foldEvents(events, loaded))
}
