import type { Task } from 'graphile-worker'
import type { Engine } from '../src/engine/engine.ts'
import { expireNotifications } from '../src/notifications/expiry.ts'

/** Removes notifications that have expired. What cannot be removed it meets again at once: `purge_expired` logs it. */
export const expireDueNotifications = (engine: Engine): Task => {
  return async () => {
    await expireNotifications(engine, { from: engine.expiry.from, complain: 'debug' })
  }
}
