import type { Task } from 'graphile-worker'
import type { Engine } from '../src/worker/context.ts'

/**
 * Continues long work: notifying an audience, retracting deleted content from every inbox and deleting the rows that
 * belong to it.
 */
export const runFanOutChunks = (engine: Engine): Task => {
  return () => engine.fanOuts.run(engine)
}
