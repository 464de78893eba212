import type { Task } from 'graphile-worker'
import { expireNotifications } from '../src/notify/inbox/expiry.ts'
import type { Engine } from '../src/worker/context.ts'

/** Removes notifications that have expired. What cannot be removed it meets again at once: `purge_expired` logs it. */
export const expireDueNotifications = (engine: Engine): Task => {
  return async () => {
    await expireNotifications(engine, { from: engine.expiry.from, complain: 'debug' })
  }
}
