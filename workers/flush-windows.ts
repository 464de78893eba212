import type { Task } from 'graphile-worker'
import type { Engine } from '../src/engine/engine.ts'
import { flushWindows } from '../src/notifications/windows.ts'

/** Shows what groups have gathered whose windows are due. */
export const flushDueWindows = (engine: Engine): Task => {
  return () => flushWindows(engine)
}
