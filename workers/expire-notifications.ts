import type { Task } from 'graphile-worker'
import { expireNotifications } from '../src/notify/inbox/expiry.ts'
import type { Engine } from '../src/worker/context.ts'

/**
 * Removes expired notifications. Does not log failures, because it finds the same notifications again at once;
 * `purge_expired` logs them.
 */
export const expireDueNotifications = (engine: Engine): Task => {
  return async () => {
    await expireNotifications(engine, { from: engine.expiry.from, complain: 'debug' })
  }
}
