import type pg from 'pg'
import { inTransaction } from '../db/transaction.ts'
import { messageOf } from '../errors.ts'
import type { OutboxEvent } from './event.ts'
import { setAside } from './pending.ts'
import { type Lane, lockPosition, movePosition } from './position.ts'
import { readNext } from './read.ts'

/** What to do about an inbox that somebody else holds locked: wait up to a second for it, or leave its events aside. */
export type OnBusy = 'wait' | 'set aside'

/** Applies events inside the given transaction and returns those whose inbox was busy (only when asked to set them aside). */
export type Consumer = (client: pg.ClientBase, events: OutboxEvent[], onBusy: OnBusy) => Promise<OutboxEvent[]>

export type BatchOptions = {
  limit: number
  onBusy: OnBusy
  /** An event that failed alone before: it becomes pending instead of being applied. */
  poison?: { eventId: number; error: unknown }
}

export type BatchResult = { events: OutboxEvent[]; finished: boolean } | 'held'

/** A batch failed: which events were in it, so that the bad one can be told from its neighbours. */
export class BatchError extends Error {
  readonly eventIds: number[]
  constructor(eventIds: number[], cause: unknown) {
    super(messageOf(cause), { cause })
    this.eventIds = eventIds
  }
}

/**
 * One batch of one lane in one transaction: lock the position, read the next events, apply them, move the position.
 * `held` when another dispatcher has the lane.
 * @throws {BatchError} when applying failed; the transaction is rolled back and nothing has happened
 */
export async function consumeBatch(
  pool: pg.Pool,
  lane: Lane,
  consumer: Consumer,
  { limit, onBusy, poison }: BatchOptions,
): Promise<BatchResult> {
  let events: OutboxEvent[] = []
  try {
    return await inTransaction(pool, async (client) => {
      const position = await lockPosition(client, lane)
      if (!position) return 'held'
      const window = await readNext(client, position, limit)
      events = window.events
      const good = poison ? events.filter((event) => event.id !== poison.eventId) : events
      const bad = poison ? events.filter((event) => event.id === poison.eventId) : []
      const busy = good.length > 0 ? await consumer(client, good, onBusy) : []
      if (busy.length > 0) await setAside(client, lane.consumer, busy, 'the inbox was held by another transaction')
      if (bad.length > 0) await setAside(client, lane.consumer, bad, messageOf(poison?.error))
      if (events.length > 0 || position.target !== null || position.stale) await movePosition(client, lane, window)
      return { events, finished: window.after === null }
    })
  } catch (error) {
    throw new BatchError(
      events.map((event) => event.id),
      error,
    )
  }
}
