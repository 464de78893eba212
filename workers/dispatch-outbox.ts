import type { Task } from 'graphile-worker'
import type { Engine } from '../src/engine/engine.ts'

/** Reads every lane of the log that has work to its end, and applies its events: notifications and counters. */
export const dispatchOutbox =
  ({ dispatcher }: Engine): Task =>
  () =>
    dispatcher.run()
