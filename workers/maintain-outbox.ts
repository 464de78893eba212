import type { Task } from 'graphile-worker'
import { maintainPartitions } from '../src/notify/outbox/partitions.ts'
import type { Engine } from '../src/worker/context.ts'

/** Makes partitions of the log ahead and drops those that every reader has passed and retention does not keep. */
export const maintainOutbox = ({ pool, log, config }: Engine): Task => {
  return () => maintainPartitions(pool, log, config.outboxRetentionDays)
}
