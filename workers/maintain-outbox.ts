import type { Task } from 'graphile-worker'
import type { Engine } from '../src/engine/engine.ts'
import { maintainPartitions } from '../src/outbox/partitions.ts'

/** Makes partitions of the log ahead and drops those that every reader has passed and retention does not keep. */
export const maintainOutbox = ({ pool, log, config }: Engine): Task => {
  return () => maintainPartitions(pool, log, config.outboxRetentionDays)
}
