import type { Task } from 'graphile-worker'
import { sendDeliveries } from '../src/channels/send.ts'
import type { Engine } from '../src/engine/engine.ts'

/** Sends the emails and Web Pushes that are due. */
export const sendDueDeliveries = (engine: Engine): Task => {
  return () => sendDeliveries(engine)
}
