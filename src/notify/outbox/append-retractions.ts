import type pg from 'pg'

/** What a statement took away and what that took back: columns of an event, written over the common table expression `gone`. */
export type Taken = {
  /** Common table expressions without `with`; `gone` returns the rows that were taken away; the parameters are the caller's. */
  ctes: string
  action: string
  sourceId: string
  recipientId: string
  type: string | null
  actorId: string
  objectType: string
  objectId: string
  threadKey: string
  data: string
  from?: string
}

/**
 * Takes rows away and appends a counted retraction for each, all in one statement: an event's id is drawn while its row is
 * locked. Returns how many there were.
 */
export async function appendRetractions(
  client: pg.ClientBase,
  taken: Taken,
  values: unknown[],
  requestId: string | null = null,
): Promise<number> {
  const type = taken.type === null ? 'null' : `case when ${taken.recipientId} is not null then '${taken.type}' end`
  const { rowCount } = await client.query(
    `with ${taken.ctes}
     insert into notify.outbox (action, retracts, counted, source_id, recipient_id, type, actor_id, object_type, object_id, thread_key, data, request_id)
     select '${taken.action}', true, true, ${taken.sourceId}, ${taken.recipientId}, ${type}, ${taken.actorId},
       '${taken.objectType}', (${taken.objectId})::text, ${taken.threadKey}, ${taken.data}, $${values.length + 1}::text
     from ${taken.from ?? 'gone'}`,
    [...values, requestId],
  )
  return rowCount ?? 0
}
