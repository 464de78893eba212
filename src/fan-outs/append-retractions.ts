import type pg from 'pg'

/**
 * Runs a statement that takes rows away and selects what that took back (action, source_id, recipient_id, type, actor_id,
 * object_type, object_id, thread_key, data), and appends a counted retraction for each, all in one statement: an event's id
 * is drawn while its row is locked. Returns how many there were.
 */
export async function appendRetractions(client: pg.ClientBase, takeAway: string, id: string): Promise<number> {
  const { rowCount } = await client.query(
    `with taken as (${takeAway})
     insert into notify.outbox (action, retracts, counted, source_id, recipient_id, type, actor_id, object_type, object_id, thread_key, data)
     select action, true, true, source_id, recipient_id, case when recipient_id is not null then type end, actor_id,
       object_type, object_id::text, thread_key, data
     from taken`,
    [id],
  )
  return rowCount ?? 0
}
