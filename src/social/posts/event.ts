import { Type } from '@sinclair/typebox'
import { defineAction } from '../../notify/actions.ts'
import type { NewEvent } from '../../notify/outbox/append.ts'
import { Id } from '../../protocol/id.ts'
import type { Actor } from './write.ts'

/** Columns over (id, author_id), for retractions. A fan-out removes the notifications. */
export const post = defineAction({
  name: 'post',
  columns: {
    sourceId: `'post:' || id`,
    type: 'null::text',
    recipientId: 'null::bigint',
    actorId: 'author_id',
    objectType: `'post'`,
    objectId: 'id::text',
    threadKey: `'post:' || id`,
    groupKey: 'null::text',
    data: `jsonb_build_object('postId', id::text)`,
  },
  data: Type.Object({ postId: Id }),
  counters: (_, { actorId }) => [['post_count', actorId]],
  objects: ({ postId }) => [`post:${postId}`],
})

/** The event of a post without a recipient. It changes a counter of the author. */
export function postEvent(postId: string, actor: Actor): NewEvent {
  return {
    action: post.name,
    counted: true,
    sourceId: `post:${postId}`,
    type: null,
    recipientId: null,
    actorId: actor.userId,
    objectType: 'post',
    objectId: postId,
    threadKey: `post:${postId}`,
    groupKey: null,
    data: { postId },
    requestId: actor.requestId,
  }
}
