import type pg from 'pg'
import type { Logger } from 'pino'
import { isContentError, isTimeout, sqlBackoff, sqlJitter, sqlState } from '../../base/failure.ts'
import { retries } from '../../base/metrics.ts'
import type { Queryable } from '../../db/client.ts'
import { inTransaction } from '../../db/transaction.ts'
import { messageOf } from '../../errors.ts'
import { queueRows } from '../webhooks/queue.ts'
import type { Consumer } from './consume.ts'
import { type OutboxEvent, parseEvent } from './event.ts'

/**
 * After this many failed attempts a pending event is a dead letter. With the backoff below that takes some three hours.
 */
export const MAX_ATTEMPTS = 12

/**
 * Days for which a dead letter is kept, counted from the time when the event was set aside. A replay does not extend
 * them.
 */
export const DEAD_LETTERS_KEPT_DAYS = 30

/** Pending events per transaction. If one of them fails, each is retried alone. */
const RETRY_BATCH = 200

type PendingRow = { id: string; event: unknown }

/** Removes events from a batch: they become pending in the transaction that moves the position past them. */
export async function setAside(
  client: pg.ClientBase,
  consumer: string,
  events: OutboxEvent[],
  reason: string,
): Promise<void> {
  await client.query(
    `insert into notify.pending (consumer, event_id, recipient_id, event, due_at, last_error)
     select $1, (e.event ->> 'id')::bigint, (e.event ->> 'recipientId')::bigint, e.event, now() + interval '1 second', $3
     from unnest($2::jsonb[]) e (event)
     on conflict on constraint pending_once do nothing`,
    [consumer, events.map((event) => JSON.stringify(event)), reason],
  )
}

/** Returns the ids of the events among these that are dead letters. */
export async function findDead(client: pg.ClientBase, consumer: string, events: OutboxEvent[]): Promise<Set<number>> {
  const { rows } = await client.query<{ id: number }>(
    `select event_id::float8 as id from notify.pending
     where consumer = $1 and event_id = any($2::bigint[]) and dead_at is not null`,
    [consumer, events.map((event) => event.id)],
  )
  return new Set(rows.map(({ id }) => id))
}

/**
 * Retries due events, oldest first. Each event is applied and its row deleted in one transaction. A failure postpones
 * the event, so that it blocks no others, or makes it a dead letter after the last attempt. Returns the number of
 * successes.
 */
export async function retryPending(pool: pg.Pool, log: Logger, consumers: Record<string, Consumer>): Promise<number> {
  let succeeded = 0
  for (const [name, consumer] of Object.entries(consumers)) {
    let limit = RETRY_BATCH
    while (true) {
      const outcome = await retryBatch(pool, name, consumer, limit)
      retries.inc({ consumer: name }, outcome.taken)
      if ('error' in outcome) {
        if (limit === 1) log.warn({ err: outcome.error, consumer: name }, 'a pending event failed again')
        limit = 1
        continue
      }
      succeeded += outcome.applied
      if (outcome.taken < limit) break
    }
  }
  return succeeded
}

async function retryBatch(
  pool: pg.Pool,
  name: string,
  consumer: Consumer,
  limit: number,
): Promise<{ taken: number; applied: number } | { taken: number; error: unknown }> {
  let rows: PendingRow[] = []
  try {
    return await inTransaction(pool, async (client) => {
      rows = await takeDue(client, name, limit)
      if (rows.length === 0) return { taken: 0, applied: 0 }
      const events = rows.map((row) => parseEvent(row.event))
      const busy = new Set((await consumer(client, events, 'set aside')).map((event) => event.id))
      const idsWhere = (isBusy: boolean) =>
        rows.filter((_, index) => busy.has(events[index]?.id ?? 0) === isBusy).map((row) => row.id)
      const [applied, held] = [idsWhere(false), idsWhere(true)]
      await client.query('delete from notify.pending where id = any($1::bigint[])', [applied])
      if (held.length > 0) await postpone(client, held)
      return { taken: rows.length, applied: applied.length }
    })
  } catch (error) {
    const [only, ...others] = rows
    if (!only) throw error
    if (others.length > 0) return { taken: rows.length, error }
    if (isContentError(error) || isTimeout(error)) {
      await noteFailure(pool, only, error)
      return { taken: 1, error }
    }
    await postpone(pool, [only.id])
    throw error
  }
}

async function takeDue(client: pg.ClientBase, consumer: string, limit: number): Promise<PendingRow[]> {
  const { rows } = await client.query<PendingRow>(
    `select id, event from notify.pending
     where consumer = $1 and dead_at is null and due_at <= now()
     order by due_at, id limit $2 for update skip locked`,
    [consumer, limit],
  )
  return rows
}

/**
 * Retries these events later without counting an attempt: another transaction has locked a row, or resources are short.
 */
async function postpone(client: Queryable, ids: string[]): Promise<void> {
  await client.query(`update notify.pending set due_at = now() + interval '2 seconds' where id = any($1::bigint[])`, [
    ids,
  ])
}

/** SQL for the seconds until the next attempt. */
const retryDelay = sqlJitter(sqlBackoff({ first: 1, longest: 3600 }, 'attempts'))

async function noteFailure(pool: pg.Pool, { id }: PendingRow, error: unknown): Promise<void> {
  await pool.query(
    `with failed as (
       update notify.pending
       set attempts = attempts + 1, last_error = $2, error_class = $4, due_at = now() + make_interval(secs => ${retryDelay}),
           dead_at = case when attempts + 1 >= $3 then now() end
       where id = $1
       returning id, recipient_id, dead_at
     )
     ${queueRows('dead_letter.created', {
       userId: 'd.recipient_id',
       data: `jsonb_build_object('deadLetterId', d.id::text)`,
       from: '(select * from failed where dead_at is not null) d',
     })}`,
    [
      id,
      messageOf(error),
      MAX_ATTEMPTS,
      sqlState(error) || (error instanceof Error ? error.constructor.name : 'Error'),
    ],
  )
}
