import type { Task } from 'graphile-worker'
import { maintainDeliveryLog } from '../src/notify/delivery-log/partitions.ts'
import type { Engine } from '../src/worker/context.ts'

/** Makes partitions of the delivery log ahead and drops those that retention does not keep. */
export const maintainLog = ({ pool, log, config }: Engine): Task => {
  return () => maintainDeliveryLog(pool, log, config.deliveryLogRetentionDays)
}
