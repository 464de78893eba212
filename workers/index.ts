import type { Tasks } from '../src/worker/start.ts'
import { cleanUnusedMedia } from './clean-media.ts'
import { dispatchOutbox } from './dispatch-outbox.ts'
import { expireDueNotifications } from './expire-notifications.ts'
import { flushDueWindows } from './flush-windows.ts'
import { maintainLog } from './maintain-delivery-log.ts'
import { maintainOutbox } from './maintain-outbox.ts'
import { purgeExpired } from './purge-expired.ts'
import { retryPendingEvents } from './retry-pending.ts'
import { runFanOutChunks } from './run-fan-outs.ts'
import { sendDueDeliveries } from './send-deliveries.ts'

/** Every task by the name of its jobs, one file each. All of them are hints: a lost, doubled or late job does no harm. */
export const tasks: Tasks = {
  taskList: (engine) => ({
    dispatch_outbox: dispatchOutbox(engine),
    flush_windows: flushDueWindows(engine),
    expire_notifications: expireDueNotifications(engine),
    retry_pending: retryPendingEvents(engine),
    run_fan_outs: runFanOutChunks(engine),
    send_deliveries: sendDueDeliveries(engine),
    maintain_outbox: maintainOutbox(engine),
    maintain_delivery_log: maintainLog(engine),
    purge_expired: purgeExpired(engine),
    clean_media: cleanUnusedMedia(engine),
  }),
  crontab: `
    * * * * * maintain_outbox ?jobKey=maintain_outbox&max=1
    */10 * * * * maintain_delivery_log ?jobKey=maintain_delivery_log&max=1
    */10 * * * * purge_expired ?jobKey=purge_expired&max=1
    5,15,25,35,45,55 * * * * clean_media ?jobKey=clean_media&max=1
  `,
}
