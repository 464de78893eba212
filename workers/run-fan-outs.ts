import type { Task } from 'graphile-worker'
import type { Engine } from '../src/engine/engine.ts'
import { runFanOuts } from '../src/fan-outs/run.ts'

/** Goes on with what a deletion left to do: retracting it from every inbox, and clearing the rows below. */
export const runFanOutChunks = (engine: Engine): Task => {
  return () => runFanOuts(engine)
}
