import type { Task } from 'graphile-worker'
import type { Engine } from '../src/engine/engine.ts'
import { retryPending } from '../src/outbox/pending.ts'

/** Tries the events again that were set aside and are due. */
export const retryPendingEvents =
  ({ pool, log, consumers }: Engine): Task =>
  async () => {
    await retryPending(pool, log, consumers)
  }
