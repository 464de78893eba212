import { broadcastChunk } from '../notify/broadcasts/sending/chunk.ts'
import { recallChunk } from '../notify/broadcasts/sending/recall.ts'
import type { FanOutKinds } from '../notify/fan-outs/run.ts'
import { publishPostChunk } from './bells/publish.ts'
import { retractActorChunk } from './blocks/retract-actor.ts'
import { compile } from './broadcasts.ts'
import { retractCommentChunk } from './comments/retract.ts'
import { retractPostChunk } from './posts/retract.ts'
import { deleteUserChunk } from './users/erase.ts'

/** Background work after social actions. */
export const socialFanOuts: FanOutKinds = {
  broadcast: broadcastChunk(compile),
  recall_broadcast: recallChunk,
  publish_post: publishPostChunk,
  retract_actor: retractActorChunk,
  retract_comment: retractCommentChunk,
  retract_post: retractPostChunk,
  delete_user: deleteUserChunk,
}
