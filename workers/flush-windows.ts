import type { Task } from 'graphile-worker'
import { flushWindows } from '../src/notify/windows/flush.ts'
import type { Engine } from '../src/worker/context.ts'

/** Updates the groups whose windows have ended. */
export const flushDueWindows = (engine: Engine): Task => {
  return () => flushWindows(engine)
}
