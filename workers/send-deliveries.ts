import type { Task } from 'graphile-worker'
import type { Engine } from '../src/worker/context.ts'

/** Sends the emails and Web Pushes that are due. */
export const sendDueDeliveries = (engine: Engine): Task => {
  return () => engine.deliveries.run()
}
