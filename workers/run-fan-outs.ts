import type { Task } from 'graphile-worker'
import type { Engine } from '../src/worker/context.ts'

/** Goes on with long work: telling an audience, retracting what was deleted from every inbox and clearing the rows below. */
export const runFanOutChunks = (engine: Engine): Task => {
  return () => engine.fanOuts.run(engine)
}
