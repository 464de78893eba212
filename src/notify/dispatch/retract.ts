import type pg from 'pg'
import { type OutboxEvent, retractionOf } from '../outbox/event.ts'
import type { TypeLookup } from '../types/types.ts'
import { foldEvents } from './fold.ts'
import { loadForFold } from './load.ts'
import { lockInboxes } from './objects.ts'
import { storeFolded } from './store.ts'

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
