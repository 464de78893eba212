import { Type } from '@sinclair/typebox'
import { defineAction } from '../../notify/actions.ts'
import { Id } from '../../protocol/id.ts'

/**
 * Columns over (post_id, user_id, recipient_id). `recipient_id` is null when authors like their own post or no longer
 * exist.
 */
export const like = defineAction({
  name: 'like',
  columns: {
    sourceId: `'like:' || post_id || ':' || user_id`,
    type: `case when recipient_id is not null then 'post.liked' end`,
    recipientId: 'recipient_id',
    actorId: 'user_id',
    objectType: `'post'`,
    objectId: 'post_id::text',
    threadKey: `'post:' || post_id`,
    groupKey: `'post.liked:' || post_id`,
    data: `jsonb_build_object('postId', post_id::text)`,
  },
  data: Type.Object({ postId: Id }),
  counters: ({ postId }) => [['like_count', postId]],
  objects: ({ postId }) => [`post:${postId}`],
})
