import type { IPolicy } from 'cockatiel'
import type pg from 'pg'
import type { Logger } from 'pino'
import { isContentError, isLockTimeout, isTimeout } from '../../base/failure.ts'
import { messageOf } from '../../errors.ts'
import { BatchError, type BatchOptions, type BatchResult, type Consumer, consumeBatch, type OnBusy } from './consume.ts'
import type { Lane, Lanes } from './position.ts'

/** Events per transaction. Above this the gain is small and an inbox stays locked for longer. */
const BATCH_SIZE = 1000

/** So many events in a row that fail alone have a common cause, which setting all of them aside would not mend. */
const SET_ASIDE_IN_A_ROW = 10
/** Trouble that met so many runs in a row does not pass by itself. */
const PATIENCE = 3

export type BatchReport = { consumer: string; events: number; seconds: number }

/** Where batches are read, and who is told of them. */
export type Reading = { pool: pg.Pool; log: Logger; onBatch: (report: BatchReport) => void }

export type LaneOptions = {
  /** Runs a batch when it is this lane's turn. */
  turns: IPolicy
  /** To begin with. Once a row was waited for in vain, none is waited for until the lane's end: other lanes wait for this one's turn. */
  onBusy: OnBusy
  /** A row was waited for in vain. */
  onHeld: () => void
  /** Failed runs of the lane since it last moved on. */
  failures: number
  stopping: () => boolean
}

/**
 * Reads a lane to its end, batch by batch. A batch that fails for its content, or takes too long, is taken apart: halved until
 * one event fails alone, which then becomes pending while its neighbours go on. Other errors end the run, and so do many events
 * in a row that fail alone; the poll starts the next.
 */
export async function runLane(
  reading: Reading,
  lane: Lane,
  consumer: Consumer,
  { turns, onBusy, onHeld, failures, stopping }: LaneOptions,
): Promise<void> {
  let options: BatchOptions = { limit: BATCH_SIZE, onBusy }
  let inARow = 0
  while (!stopping()) {
    try {
      const result = await turns.execute(() => (stopping() ? 'held' : runBatch(reading, lane, consumer, options)))
      inARow = options.poison ? inARow + 1 : 0
      if (result === 'held' || result.unfinished.length === 0) return
      options = { limit: Math.min(BATCH_SIZE, options.limit * 2), onBusy: options.onBusy }
    } catch (error) {
      if (onBusyAfter(error) === 'set aside') onHeld()
      options = afterFailure(options, error, failures)
      if (options.poison && inARow >= SET_ASIDE_IN_A_ROW)
        throw new Error(`${inARow} events in a row were set aside: ${messageOf(error)}`, { cause: error })
      reading.log.warn({ err: error, ...lane, next: options }, 'a batch failed and is tried again')
    }
  }
}

/** One batch, and word of it. The events' lines are the middle of a request's trace, between its answer and its frame. */
export async function runBatch(
  { pool, log, onBatch }: Reading,
  lanes: Lanes,
  consumer: Consumer,
  options: BatchOptions,
): Promise<BatchResult> {
  const startedAt = performance.now()
  const result = await consumeBatch(pool, lanes, consumer, options)
  if (result === 'held') return result
  if (log.isLevelEnabled('debug'))
    for (const { requestId, id, sourceId } of result.events)
      log.debug({ requestId, event: id, sourceId, ...lanes }, 'read an event')
  onBatch({ consumer: lanes.consumer, events: result.events.length, seconds: (performance.now() - startedAt) / 1000 })
  return result
}

/**
 * How to go on after a failed batch. Rethrows what another attempt at once would not mend. Trouble that does not pass may come
 * of one event, one that crashes the server for example: then too a batch is taken apart, and what is rethrown names the event.
 */
function afterFailure(options: BatchOptions, error: unknown, failures: number): BatchOptions {
  if (options.onBusy === 'wait' && onBusyAfter(error) === 'set aside') return { ...options, onBusy: 'set aside' }
  if (!(error instanceof BatchError)) throw error
  const isContent = isContentError(error.cause) || isTimeout(error.cause)
  const [only, ...others] = error.eventIds
  if (only === undefined || !(isContent || (others.length > 0 && failures >= PATIENCE))) throw error
  if (others.length > 0) return { ...options, limit: Math.ceil(error.eventIds.length / 2) }
  return { limit: 1, onBusy: options.onBusy, poison: { eventId: only, error: error.cause } }
}

/** Whoever holds a row for longer than is waited for may do so for long. */
export function onBusyAfter(error: unknown): OnBusy {
  return isLockTimeout(error instanceof BatchError ? error.cause : error) ? 'set aside' : 'wait'
}
