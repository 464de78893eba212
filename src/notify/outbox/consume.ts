import type pg from 'pg'
import { inTransaction, type Sent, together } from '../../db/transaction.ts'
import { messageOf } from '../../errors.ts'
import type { OutboxEvent } from './event.ts'
import { findDead, setAside } from './pending.ts'
import { type Lanes, movePositions } from './position.ts'
import { lockAndRead } from './read.ts'

/**
 * How to handle an inbox, post or other row that another transaction holds: wait up to a second for it, or set its
 * events aside.
 */
export type OnBusy = 'wait' | 'set aside'

/** Applies events in the given transaction. Returns those whose rows were held (only with `set aside`). */
export type Consumer = (client: pg.ClientBase, events: OutboxEvent[], onBusy: OnBusy) => Promise<OutboxEvent[]>

export type BatchOptions = {
  limit: number
  onBusy: OnBusy
  /** An event that failed alone before. It becomes pending instead of being applied again. */
  poison?: { eventId: number; error: unknown }
}

/** The events read, and the lanes whose slice has more; `held` when other dispatchers have locked the lanes. */
export type BatchResult = { events: OutboxEvent[]; unfinished: number[] } | 'held'

/** A batch failed. Carries its events, so that the bad one can be found. */
export class BatchError extends Error {
  readonly eventIds: number[]
  constructor(eventIds: number[], cause: unknown) {
    super(messageOf(cause), { cause })
    this.eventIds = eventIds
  }
}

/**
 * One batch in one transaction: locks the positions, reads the next events of each lane, applies them, and moves the
 * positions.
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
      const slices = await lockAndRead(client, lanes, limit)
      if (slices.length === 0) return 'held'
      events = slices.flatMap((slice) => slice.events)
      // Leaves out an event that an operator skipped, because it is a dead letter already. Only a failing lane checks.
      const dead = slices.some(({ failing }) => failing) ? await findDead(client, lanes.consumer, events) : new Set()
      const good = events.filter((event) => event.id !== poison?.eventId && !dead.has(event.id))
      const bad = poison ? events.filter((event) => event.id === poison.eventId) : []
      const moves = slices.filter((slice) => slice.moves)
      const moved: Sent<void> = movePositions(client, lanes.consumer, moves, bad.length === 0)
      const [busy] = await together([good.length > 0 ? consumer(client, good, onBusy) : [], moved])
      if (busy.length > 0)
        await setAside(client, lanes.consumer, busy, 'a row that it needs was held by another transaction')
      if (bad.length > 0) await setAside(client, lanes.consumer, bad, messageOf(poison?.error))
      return { events, unfinished: slices.flatMap(({ lane, after }) => (after ? [lane] : [])) }
    }
    // A crash may undo the commit of counts. The position is undone too, so the events are counted again. Notifications
    // must be durable, because they are pushed. Lanes are locked only within a transaction, so nothing is read or
    // written without one.
    return await inTransaction(pool, batch, lanes.consumer === 'counters' ? 'soon' : 'at once', 'sent along')
  } catch (error) {
    throw new BatchError(
      events.map((event) => event.id),
      error,
    )
  }
}
