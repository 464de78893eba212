import type { Task } from 'graphile-worker'
import type { Engine } from '../src/worker/context.ts'
import { purge } from '../src/worker/retention.ts'

/** Removes expired data: notifications, old tombstones, sources, sessions and dead letters. */
export const purgeExpired = (engine: Engine): Task => {
  return () => purge(engine)
}
