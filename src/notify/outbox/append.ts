import type pg from 'pg'
import { columns } from '../../db/columns.ts'
import type { Action } from '../actions.ts'

/** A row of notify.outbox to write: one per action and recipient. Ids are decimal strings. */
export type NewEvent = {
  action: string
  /** True when the action is retracted. */
  retracts?: boolean
  /** True on exactly one event per action: the one that moves counters. */
  counted: boolean
  sourceId: string
  /** Notification type for the recipient; null when nobody is notified. */
  type: string | null
  recipientId: string | null
  actorId: string | null
  objectType: string | null
  objectId: string | null
  threadKey: string | null
  groupKey: string | null
  /** Data for clients and counters. */
  data: Record<string, unknown>
  requestId: string | null
}

/**
 * Writes the events of an action inside its transaction, while its rows are locked. So the ids of two events about one
 * thing have the order of the events. Call `wakeUps.eventsAppended()` after the commit.
 */
export async function appendEvents(trx: pg.ClientBase, events: NewEvent[]): Promise<void> {
  if (events.length === 0) return
  await trx.query({
    name: 'append_events',
    text: `insert into notify.outbox (action, retracts, counted, source_id, type, recipient_id, actor_id, object_type, object_id,
             thread_key, group_key, data, request_id)
           select * from ${appended.from}`,
    values: appended.values(events),
  })
}

const appended = columns<NewEvent>({
  action: ['text', (event) => event.action],
  retracts: ['boolean', (event) => event.retracts ?? false],
  counted: ['boolean', (event) => event.counted],
  source_id: ['text', (event) => event.sourceId],
  type: ['text', (event) => event.type],
  recipient_id: ['bigint', (event) => event.recipientId],
  actor_id: ['bigint', (event) => event.actorId],
  object_type: ['text', (event) => event.objectType],
  object_id: ['text', (event) => event.objectId],
  thread_key: ['text', (event) => event.threadKey],
  group_key: ['text', (event) => event.groupKey],
  data: ['jsonb', (event) => JSON.stringify(event.data)],
  request_id: ['text', (event) => event.requestId],
})

type Rows = {
  action: Action
  retracts: boolean
  /** A `from` clause with the rows that the action's columns refer to. */
  from: string
  /** SQL of the request id. */
  requestId: string
}

/**
 * SQL that appends a counted event for each row. Its statement has written these rows, so an event's id is drawn while
 * its row is locked.
 */
export function appendEventPerRow({ action: { name, columns }, retracts, from, requestId }: Rows): string {
  return `
    insert into notify.outbox (
      action, retracts, counted, source_id, type, recipient_id, actor_id, object_type, object_id, thread_key, group_key, data, request_id
    )
    select '${name}', ${retracts}, true,
      ${columns.sourceId},
      ${columns.type},
      ${columns.recipientId},
      ${columns.actorId},
      ${columns.objectType},
      ${columns.objectId},
      ${columns.threadKey},
      ${columns.groupKey},
      ${columns.data},
      ${requestId}
    from ${from}`
}

/** Rows that a statement deletes, and the action that it retracts. */
export type Taken = {
  action: Action
  /** Common table expressions without `with`. The last one returns the rows. The caller supplies the parameters. */
  ctes: string
  /** The rows, with the names that the action's columns use. */
  from: string
}

/** Deletes rows and appends a retraction for each, in one statement. Returns their number. */
export async function appendRetractions(
  client: pg.ClientBase,
  { action, ctes, from }: Taken,
  values: unknown[],
  requestId: string | null = null,
): Promise<number> {
  const appended = appendEventPerRow({ action, retracts: true, from, requestId: `$${values.length + 1}::text` })
  const { rowCount } = await client.query(`with ${ctes} ${appended}`, [...values, requestId])
  return rowCount ?? 0
}
