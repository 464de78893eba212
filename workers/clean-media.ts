import type { Task } from 'graphile-worker'
import type { Engine } from '../src/engine/engine.ts'
import { cleanMedia } from '../src/media/free.ts'

/** Removes media that nothing shows since a day, and what was left of uploads that broke off. */
export const cleanUnusedMedia = (engine: Engine): Task => {
  return () => cleanMedia(engine)
}
