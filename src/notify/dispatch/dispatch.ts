import type pg from 'pg'
import type { Sent } from '../../db/transaction.ts'
import type { Actions } from '../actions.ts'
import { queueDeliveries } from '../channels/queue.ts'
import type { Consumer, OnBusy } from '../outbox/consume.ts'
import { type OutboxEvent, retractionOf } from '../outbox/event.ts'
import { storeCounted } from '../rules/cap.ts'
import type { NotificationTypes, TypeLookup } from '../types/types.ts'
import { foldEvents } from './fold.ts'
import { loadForFold } from './load.ts'
import type { Inbox } from './model.ts'
import { existingInboxes, lockFreeObjects, lockInboxes, lockObjects } from './objects.ts'
import { storeFolded } from './store.ts'

/**
 * The consumer `notifications`: turns a batch of events into notifications, in the transaction that moves the position.
 */
export function dispatchWith(types: Pick<NotificationTypes, 'current'>, actions: Actions): Consumer {
  return async (client, events, onBusy) => {
    const addressed = events.filter((event) => event.recipientId !== null)
    return addressed.length > 0 ? notifyRecipients(client, await types.current(), actions, addressed, onBusy) : []
  }
}

/**
 * Turns events with recipients into notifications. Lock order, as everywhere: position or fan-out, then objects, then
 * inboxes by user id. Blocks and preferences are read after that.
 * Returns the events whose object or inbox another transaction held (only with `set aside`).
 */
export async function notifyRecipients(
  client: pg.ClientBase,
  types: TypeLookup,
  actions: Actions,
  events: OutboxEvent[],
  onBusy: OnBusy,
): Promise<OutboxEvent[]> {
  const objects = new Map(events.map((event) => [event, event.retracts ? [] : actions.objectsOf(event)]))
  const needed = new Set([...objects.values()].flat())
  const among = (found: Set<string>) => (event: OutboxEvent) =>
    objects.get(event)?.some((key) => found.has(key)) ?? false
  const goneEvents = (gone: Set<string>) => new Set(gone.size > 0 ? events.filter(among(gone)) : [])
  if (onBusy === 'wait') {
    const gone: Sent<Set<OutboxEvent>> = lockObjects(client, needed).then(goneEvents)
    await lockAndNotify(client, types, events, gone, onBusy)
    return []
  }
  const { gone, held } = await lockFreeObjects(client, needed)
  const waits = among(held)
  const [waiting, free] = held.size > 0 ? [events.filter(waits), events.filter((event) => !waits(event))] : [[], events]
  if (free.length === 0) return waiting
  return [...waiting, ...(await lockAndNotify(client, types, free, Promise.resolve(goneEvents(gone)), onBusy))]
}

/**
 * Locks the inboxes and sends the reads behind the locks at once, each with a snapshot after them. Returns the events
 * whose inbox was held.
 */
async function lockAndNotify(
  client: pg.ClientBase,
  types: TypeLookup,
  events: OutboxEvent[],
  goneEvents: Sent<Set<OutboxEvent>>,
  onBusy: OnBusy,
): Promise<OutboxEvent[]> {
  const users = [...new Set(events.map((event) => String(event.recipientId)))]
  const locked: Sent<Map<string, Inbox>> = lockInboxes(client, users, onBusy === 'set aside')
  const loaded = await loadForFold(client, types, { goneEvents, inboxes: locked }, events)
  const { inboxes } = loaded
  const reachable = events.filter((event) => inboxes.has(String(event.recipientId)))
  const busy = onBusy === 'set aside' ? await heldByOthers(client, events, inboxes) : []
  if (reachable.length === 0) return busy
  const folded = foldEvents(reachable, loaded)
  await storeFolded(client, types, inboxes, folded)
  await queueDeliveries(client, types, inboxes, folded.drafts)
  await storeCounted(client, loaded.preferences)
  return busy
}

/** Returns the events whose inbox exists but was not locked. The others no longer have a recipient. */
async function heldByOthers(
  client: pg.ClientBase,
  events: OutboxEvent[],
  locked: Map<string, unknown>,
): Promise<OutboxEvent[]> {
  const missing = events.filter((event) => !locked.has(String(event.recipientId)))
  const users = missing.map((event) => String(event.recipientId))
  const existing = new Set(await existingInboxes(client, users))
  return missing.filter((event) => existing.has(String(event.recipientId)))
}

/** Retracts these sources now: the rows of notify.sources that meet a condition over `values`. Locks their inboxes. */
export async function retractSources(
  client: pg.ClientBase,
  types: TypeLookup,
  condition: string,
  values: unknown[],
): Promise<void> {
  const { rows } = await client.query<{ userId: string; sourceId: string; eventId: number }>(
    `select user_id as "userId", source_id as "sourceId", nextval('notify.outbox_id_seq')::float8 as "eventId"
     from notify.sources where ${condition}`,
    values,
  )
  if (rows.length === 0) return
  const events = rows.map(({ userId, sourceId, eventId }) => retractionOf(userId, sourceId, eventId))
  const inboxes = await lockInboxes(client, [...new Set(rows.map((row) => row.userId))], false)
  const locks = { goneEvents: Promise.resolve(new Set<OutboxEvent>()), inboxes: Promise.resolve(inboxes) }
  const loaded = await loadForFold(client, types, locks, events)
  await storeFolded(client, types, inboxes, foldEvents(events, loaded))
}
