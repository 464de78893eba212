import type pg from 'pg'
import { eventColumns, type OutboxEvent } from '../../../src/notify/outbox/event.ts'

/** The events of an action as the log holds them, in the order of their ids. */
export async function readEvents(pool: pg.Pool, action: string): Promise<OutboxEvent[]> {
  const { rows } = await pool.query<OutboxEvent>(
    `select ${eventColumns} from notify.outbox o where o.action = $1 order by o.id`,
    [action],
  )
  return rows
}
