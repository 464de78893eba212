import type { Task } from 'graphile-worker'
import { retryPending } from '../src/notify/outbox/pending.ts'
import type { Engine } from '../src/worker/context.ts'

/** Retries the events that were set aside and are due. */
export const retryPendingEvents =
  ({ pool, log, consumers }: Engine): Task =>
  async () => {
    await retryPending(pool, log, consumers)
  }
