import type { Task } from 'graphile-worker'
import { cleanMedia } from '../src/social/media/free.ts'
import type { Engine } from '../src/worker/context.ts'

/** Removes media that nothing has shown for a day, and remains of aborted uploads. */
export const cleanUnusedMedia = (engine: Engine): Task => {
  return () => cleanMedia(engine)
}
