import type { Task } from 'graphile-worker'
import type { Engine } from '../src/worker/context.ts'

/** Reads every lane of the log that has work to its end, applies its events (notifications and counters), and stands ready for more. */
export const dispatchOutbox =
  ({ dispatcher }: Engine): Task =>
  () =>
    dispatcher.serve()
