import type { Task } from 'graphile-worker'
import { cleanMedia } from '../src/social/media/free.ts'
import type { Engine } from '../src/worker/context.ts'

/** Removes media that nothing shows since a day, and what was left of uploads that broke off. */
export const cleanUnusedMedia = (engine: Engine): Task => {
  return () => cleanMedia(engine)
}
