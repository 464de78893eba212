import type pg from 'pg'

/** One row of notify.outbox to be written: one per action and recipient. Ids are decimal strings. */
export type NewEvent = {
  action: string
  /** True when the action is taken back. */
  retracts?: boolean
  /** True on exactly one event of an action: the one that moves counters. */
  counted: boolean
  sourceId: string
  /** What the recipient is told; null when nobody is. */
  type: string | null
  recipientId: string | null
  actorId: string | null
  objectType: string | null
  objectId: string | null
  threadKey: string | null
  groupKey: string | null
  /** Facts for clients and counters. */
  data: Record<string, unknown>
  requestId: string | null
}

/**
 * Writes the events of an action inside the transaction of the action, while its rows are locked: the order of two events
 * about one thing is the order of their ids. Call `wakeUps.eventsAppended()` after the commit.
 */
export async function appendEvents(trx: pg.ClientBase, events: NewEvent[]): Promise<void> {
  if (events.length === 0) return
  const column = <T>(read: (event: NewEvent) => T) => events.map(read)
  await trx.query({
    name: 'append_events',
    text: `insert into notify.outbox (action, retracts, counted, source_id, type, recipient_id, actor_id, object_type, object_id,
             thread_key, group_key, data, request_id)
           select * from unnest($1::text[], $2::boolean[], $3::boolean[], $4::text[], $5::text[], $6::bigint[], $7::bigint[],
             $8::text[], $9::text[], $10::text[], $11::text[], $12::jsonb[], $13::text[])`,
    values: [
      column((event) => event.action),
      column((event) => event.retracts ?? false),
      column((event) => event.counted),
      column((event) => event.sourceId),
      column((event) => event.type),
      column((event) => event.recipientId),
      column((event) => event.actorId),
      column((event) => event.objectType),
      column((event) => event.objectId),
      column((event) => event.threadKey),
      column((event) => event.groupKey),
      column((event) => JSON.stringify(event.data)),
      column((event) => event.requestId),
    ],
  })
}
