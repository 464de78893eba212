import type { Task } from 'graphile-worker'
import type { Engine } from '../src/worker/context.ts'

/** Reads every lane with work to its end, applies its events (notifications and counters), and then waits for more. */
export const dispatchOutbox =
  ({ dispatcher }: Engine): Task =>
  () =>
    dispatcher.runJob()
