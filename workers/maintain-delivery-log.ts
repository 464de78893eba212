import type { Task } from 'graphile-worker'
import { maintainDeliveryLog } from '../src/delivery-log/partitions.ts'
import type { Engine } from '../src/engine/engine.ts'

/** Makes partitions of the delivery log ahead and drops those that retention does not keep. */
export const maintainLog = ({ pool, log, config }: Engine): Task => {
  return () => maintainDeliveryLog(pool, log, config.deliveryLogRetentionDays)
}
