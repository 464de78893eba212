import type { Task } from 'graphile-worker'
import { maintainDeliveryLog } from '../src/notify/delivery-log/partitions.ts'
import type { Engine } from '../src/worker/context.ts'

/** Creates partitions of the delivery log ahead, and drops those beyond the retention time. */
export const maintainLog = ({ pool, log, config }: Engine): Task => {
  return () => maintainDeliveryLog(pool, log, config.deliveryLogRetentionDays)
}
