import type { IPolicy } from 'cockatiel'
import type pg from 'pg'
import type { Logger } from 'pino'
import { isContentError, isLockTimeout, isTimeout } from '../../base/failure.ts'
import { dispatchBatchSeconds, dispatchBatchSize } from '../../base/metrics.ts'
import { messageOf } from '../../errors.ts'
import { BatchError, type BatchOptions, type BatchResult, type Consumer, consumeBatch, type OnBusy } from './consume.ts'
import type { Lane, Lanes } from './position.ts'

/** Events per transaction. A larger number gains little and keeps inboxes locked for longer. */
const BATCH_SIZE = 1000

/** Number of consecutive events that fail alone, above which the cause is common. Setting them aside would not fix it. */
const SET_ASIDE_IN_A_ROW = 10
/** Number of consecutive failed runs after which a problem counts as permanent. */
const PATIENCE = 3

export type BatchReport = { consumer: string; events: number; seconds: number }

/** Counts a batch for the metrics. */
export function countBatch({ consumer, events, seconds }: BatchReport): void {
  if (events === 0) return
  dispatchBatchSize.observe({ consumer }, events)
  dispatchBatchSeconds.observe({ consumer }, seconds)
}

/** The pool for batches, and the receiver of their reports. */
export type Reading = { pool: pg.Pool; log: Logger; onBatch: (report: BatchReport) => void }

export type LaneOptions = {
  /** Runs a batch when it is this lane's turn. */
  turns: IPolicy
  /**
   * Initial behaviour. After one wait for a row times out, the lane no longer waits for rows until its end, because
   * other lanes wait for its turn.
   */
  onBusy: OnBusy
  /** A wait for a row timed out. */
  onHeld: () => void
  /** Number of failed runs of the lane since its last progress. */
  failures: number
  stopping: () => boolean
}

/**
 * Reads a lane to its end, batch by batch. A batch that times out or fails for its content is halved until one event
 * fails alone. That event becomes pending, and the others continue. Other errors end the run, as do many consecutive
 * events that fail alone. The poll starts the next run.
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
        throw new Error(`${inARow} consecutive events were set aside: ${messageOf(error)}`, { cause: error })
      reading.log.warn({ err: error, ...lane, next: options }, 'a batch failed; retrying')
    }
  }
}

/**
 * Runs and reports one batch. The log lines of its events are the middle of a request's trace, between its answer and
 * its frame.
 */
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
 * Decides how to continue after a failed batch. Rethrows errors that an immediate retry would not fix. A persistent
 * failure may come from one event, for example one that crashes the server. Then too a batch is halved, and the
 * rethrown error names the event.
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

/** A transaction that holds a row beyond the timeout may hold it for long. */
export function onBusyAfter(error: unknown): OnBusy {
  return isLockTimeout(error instanceof BatchError ? error.cause : error) ? 'set aside' : 'wait'
}
