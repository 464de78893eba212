import type { Task } from 'graphile-worker'
import { flushWindows } from '../src/notify/windows/flush.ts'
import type { Engine } from '../src/worker/context.ts'

/** Shows what groups have gathered whose windows are due. */
export const flushDueWindows = (engine: Engine): Task => {
  return () => flushWindows(engine)
}
