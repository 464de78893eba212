import type pg from 'pg'
import { inTransaction, together } from '../../db/transaction.ts'
import { messageOf } from '../../errors.ts'
import type { OutboxEvent } from './event.ts'
import { findDead, setAside } from './pending.ts'
import { type Lanes, lockPositions, movePositions } from './position.ts'
import { readNext } from './read.ts'

/** What to do about an inbox, a post or another row that somebody else holds locked: wait up to a second for it, or leave its events aside. */
export type OnBusy = 'wait' | 'set aside'

/** Applies events inside the given transaction and returns those whose rows were held (only when asked to set them aside). */
export type Consumer = (client: pg.ClientBase, events: OutboxEvent[], onBusy: OnBusy) => Promise<OutboxEvent[]>

export type BatchOptions = {
  limit: number
  onBusy: OnBusy
  /** An event that failed alone before: it becomes pending instead of being applied. */
  poison?: { eventId: number; error: unknown }
}

/** What was read, and the lanes whose window holds more; `held` when other dispatchers have the lanes. */
export type BatchResult = { events: OutboxEvent[]; unfinished: number[] } | 'held'

/** A batch failed: which events were in it, so that the bad one can be told from its neighbours. */
export class BatchError extends Error {
  readonly eventIds: number[]
  constructor(eventIds: number[], cause: unknown) {
    super(messageOf(cause), { cause })
    this.eventIds = eventIds
  }
}

/**
 * One batch in one transaction: lock the positions, read the next events of each lane, apply them, move the positions.
 * @throws {BatchError} when applying failed; the transaction is rolled back and nothing has happened
 */
export async function consumeBatch(
  pool: pg.Pool,
  lanes: Lanes,
  consumer: Consumer,
  { limit, onBusy, poison }: BatchOptions,
): Promise<BatchResult> {
  let events: OutboxEvent[] = []
  try {
    const batch = async (client: pg.ClientBase): Promise<BatchResult> => {
      const [, windows] = await together([lockPositions(client, lanes), readNext(client, lanes.consumer, limit)])
      if (windows.length === 0) return 'held'
      events = windows.flatMap((window) => window.events)
      // One that was skipped by hand is dead already. Only a failing lane looks.
      const dead = windows.some(({ failing }) => failing) ? await findDead(client, lanes.consumer, events) : new Set()
      const good = events.filter((event) => event.id !== poison?.eventId && !dead.has(event.id))
      const bad = poison ? events.filter((event) => event.id === poison.eventId) : []
      const moves = windows.filter((window) => window.moves)
      const [, busy] = await together([
        movePositions(client, lanes.consumer, moves, bad.length === 0),
        good.length > 0 ? consumer(client, good, onBusy) : [],
      ])
      if (busy.length > 0)
        await setAside(client, lanes.consumer, busy, 'a row that it needs was held by another transaction')
      if (bad.length > 0) await setAside(client, lanes.consumer, bad, messageOf(poison?.error))
      return { events, unfinished: windows.flatMap(({ lane, after }) => (after ? [lane] : [])) }
    }
    // Counts that a crash undoes are counted again, since the position is undone with them. What people were pushed has to stay.
    // No lane is held outside a transaction, so nothing is read and written without one.
    return await inTransaction(pool, batch, lanes.consumer === 'counters' ? 'soon' : 'at once', 'sent along')
  } catch (error) {
    throw new BatchError(
      events.map((event) => event.id),
      error,
    )
  }
}
