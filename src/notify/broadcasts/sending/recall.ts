import type pg from 'pg'
import { columns } from '../../../db/columns.ts'
import type { Draft } from '../../dispatch/model.ts'
import { lockInboxes } from '../../dispatch/objects.ts'
import { readDrafts } from '../../dispatch/read-drafts.ts'
import { storeRemoved } from '../../dispatch/store.ts'
import { usersOfThread } from '../../fan-outs/remove-notifications.ts'
import { type Chunk, type FanOut, HELD_SECONDS } from '../../fan-outs/run.ts'
import type { TypeLookup } from '../../types/types.ts'

/**
 * Retracts a recalled broadcast from the next inboxes, as an ordinary change of each, and cancels mails and pushes that
 * were not tried yet. First stops sending and waits for running chunks, so that nothing appears behind the cursor.
 * Other mails and pushes are cancelled when they are due, because their notification no longer exists.
 */
export const recallChunk: Chunk = async (client, fanOut, types) => {
  if (fanOut.cursorUserId === '0') await stopSending(client, fanOut)
  const users = await usersOfThread(client, fanOut)
  if (users.length > 0) {
    const removed = await retract(client, types, fanOut, users)
    return { cursorUserId: removed > 0 ? fanOut.cursorUserId : (users.at(-1) ?? fanOut.cursorUserId) }
  }
  // Continues with users whose inbox was held when the cursor passed. They did not delay the others.
  const passed = await usersOfThread(client, { threadKey: fanOut.threadKey, cursorUserId: '0' })
  if (passed.length > 0) {
    const removed = await retract(client, types, fanOut, passed)
    return { cursorUserId: '0', afterSeconds: removed > 0 ? 0 : HELD_SECONDS }
  }
  await client.query('update notify.broadcasts set recall_finished_at = now() where id = $1', [fanOut.objectId])
  return 'finished'
}

/**
 * Waits for running chunks and for events that are being retried. Afterwards nothing writes notifications of the
 * broadcast.
 */
async function stopSending(client: pg.ClientBase, { objectId }: FanOut): Promise<void> {
  await client.query(
    `update notify.fan_outs set finished_at = now() where kind = 'broadcast' and object_id = $1 and finished_at is null`,
    [objectId],
  )
  await dropLate(client, objectId)
}

/**
 * Discards the events that still wait for a held inbox, and those that failed. Their recipients no longer count as processed, like
 * recipients that no chunk has reached.
 */
export async function dropLate(client: pg.ClientBase, broadcastId: string): Promise<void> {
  await client.query(
    `with dropped as (
       delete from notify.pending p using notify.broadcast_late l
       where l.broadcast_id = $1 and p.event_id = l.event_id and p.consumer = 'notifications' returning l.recipient_id
     ), forgotten as (
       delete from notify.broadcast_late l using dropped d where l.broadcast_id = $1 and l.recipient_id = d.recipient_id
     )
     update notify.broadcasts b set done = b.done - d.count from (select count(*)::int as count from dropped) d
     where b.id = $1 and d.count > 0`,
    [broadcastId],
  )
}

async function retract(
  client: pg.ClientBase,
  types: TypeLookup,
  { objectId, threadKey }: FanOut,
  users: string[],
): Promise<number> {
  const inboxes = await lockInboxes(client, users, true)
  const drafts = await readDrafts(client, [...inboxes.keys()], 'n.thread_key = $2', threadKey, users.length)
  if (drafts.length === 0) return 0
  await storeRemoved(client, types, inboxes, drafts, 'retracted')
  await cancelUntried(client, drafts)
  await client.query('update notify.broadcasts set recalled = recalled + $2 where id = $1', [objectId, drafts.length])
  return drafts.length
}

const untried = columns<Draft>({
  user_id: ['bigint', (draft) => draft.userId],
  notification_id: ['bigint', (draft) => draft.id],
})

async function cancelUntried(client: pg.ClientBase, drafts: Draft[]): Promise<void> {
  await client.query({
    name: 'cancel_untried_deliveries',
    text: `update notify.deliveries d set state = 'cancelled', reason = 'removed', due_at = null, updated_at = now()
           from ${untried.from}
           where d.user_id = w.user_id and d.notification_id = w.notification_id and d.user_id = any($1::bigint[])
             and d.state in ('queued', 'deferred') and d.send_id is null`,
    values: untried.values(drafts),
  })
}
