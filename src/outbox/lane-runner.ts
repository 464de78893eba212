import type pg from 'pg'
import type { Logger } from 'pino'
import { BatchError, type BatchOptions, type Consumer, consumeBatch } from './consume.ts'
import type { OutboxEvent } from './event.ts'
import { isContentError, isLockTimeout } from './failure.ts'
import type { Lane } from './position.ts'

/** Events per transaction. Above this the gain is small and an inbox stays locked for longer. */
export const BATCH_SIZE = 1000

export type BatchReport = { lane: Lane; events: number; seconds: number }

/**
 * Reads a lane to its end, batch by batch. A batch that fails for its content is taken apart: halved until the bad event
 * stands alone, which then becomes pending while its neighbours go on. Other errors end the run; the poll starts the next.
 */
export async function runLane(
  pool: pg.Pool,
  lane: Lane,
  consumer: Consumer,
  { log, onBatch, stopping }: { log: Logger; onBatch: (report: BatchReport) => void; stopping: () => boolean },
): Promise<void> {
  let options: BatchOptions = { limit: BATCH_SIZE, onBusy: 'wait' }
  while (!stopping()) {
    const startedAt = performance.now()
    try {
      const result = await consumeBatch(pool, lane, consumer, options)
      if (result === 'held') return
      logEvents(log, lane, result.events)
      onBatch({ lane, events: result.events.length, seconds: (performance.now() - startedAt) / 1000 })
      if (result.finished && result.events.length === 0) return
      options = { limit: Math.min(BATCH_SIZE, options.limit * 2), onBusy: 'wait' }
    } catch (error) {
      options = afterFailure(options, error)
      log.warn({ err: error, ...lane, next: options }, 'a batch failed and is tried again')
    }
  }
}

/** The middle of a request's trace: its id stands in the line of its answer, here, and where its frame is sent. */
function logEvents(log: Logger, lane: Lane, events: OutboxEvent[]): void {
  if (!log.isLevelEnabled('debug')) return
  for (const { requestId, id, sourceId } of events)
    log.debug({ requestId, event: id, sourceId, ...lane }, 'read an event')
}

/** How to go on after a failed batch. Rethrows what another attempt at once would not mend. */
function afterFailure(options: BatchOptions, error: unknown): BatchOptions {
  const cause = error instanceof BatchError ? error.cause : error
  if (isLockTimeout(cause) && options.onBusy === 'wait') return { ...options, onBusy: 'set aside' }
  if (!(error instanceof BatchError) || !isContentError(cause)) throw error
  const [only, ...others] = error.eventIds
  if (only === undefined) throw error
  if (others.length > 0) return { ...options, limit: Math.ceil(error.eventIds.length / 2) }
  return { limit: 1, onBusy: options.onBusy, poison: { eventId: only, error: cause } }
}
