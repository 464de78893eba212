import type pg from 'pg'
import type { Consumer } from '../outbox/consume.ts'
import type { OutboxEvent } from '../outbox/event.ts'
import { foldEvents } from './fold.ts'
import { loadForFold } from './load.ts'
import { findGoneObjects, lockInboxes } from './locks.ts'
import { storeFolded } from './store.ts'
import type { NotificationTypes } from './types.ts'

/**
 * The consumer `notifications`: turns a batch of events into notifications, inside the transaction that moves the position.
 * Lock order, as everywhere: position, then objects, then inboxes by user id; blocks and preferences are read after that.
 * Returns the events whose inbox was held by somebody else (only with `set aside`).
 */
export function dispatchWith(types: NotificationTypes): Consumer {
  return async (client, events, onBusy) => {
    const addressed = events.filter((event) => event.recipientId !== null)
    if (addressed.length === 0) return []
    const lookup = await types.current()
    const users = [...new Set(addressed.map((event) => String(event.recipientId)))]
    const [gone, inboxes] = await Promise.all([
      findGoneObjects(client, addressed),
      lockInboxes(client, users, onBusy === 'set aside'),
    ])
    const reachable = addressed.filter((event) => inboxes.has(String(event.recipientId)))
    const busy = onBusy === 'set aside' ? await heldByOthers(client, addressed, inboxes) : []
    if (reachable.length === 0) return busy
    const loaded = await loadForFold(client, lookup, inboxes, reachable, gone)
    await storeFolded(client, lookup, inboxes, foldEvents(reachable, loaded))
    return busy
  }
}

/** Of the events whose inbox was not locked, those whose inbox exists. The others have no recipient any more: nobody is told. */
async function heldByOthers(
  client: pg.ClientBase,
  events: OutboxEvent[],
  locked: Map<string, unknown>,
): Promise<OutboxEvent[]> {
  const missing = events.filter((event) => !locked.has(String(event.recipientId)))
  if (missing.length === 0) return []
  const { rows } = await client.query<{ userId: string }>({
    name: 'existing_inboxes',
    text: 'select user_id as "userId" from notify.inbox where user_id = any($1::bigint[])',
    values: [missing.map((event) => event.recipientId)],
  })
  const existing = new Set(rows.map((row) => row.userId))
  return missing.filter((event) => existing.has(String(event.recipientId)))
}
