import type { Task } from 'graphile-worker'
import { maintainPartitions } from '../src/notify/outbox/partitions.ts'
import type { Engine } from '../src/worker/context.ts'

/**
 * Creates partitions of the outbox ahead, and drops those that every consumer has read and that are beyond the
 * retention time.
 */
export const maintainOutbox = ({ pool, log, config }: Engine): Task => {
  return () => maintainPartitions(pool, log, config.outboxRetentionDays)
}
