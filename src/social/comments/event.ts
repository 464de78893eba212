import { Type } from '@sinclair/typebox'
import { defineAction } from '../../notify/actions.ts'
import type { NewEvent } from '../../notify/outbox/append.ts'
import { type CommentFacts, recipientsOfComment } from '../../notify/rules/recipients.ts'
import { Id } from '../../protocol/id.ts'
import type { Actor } from '../posts/write.ts'

/** Columns over (id, post_id, parent_id, author_id), for retractions. A fan-out removes the notifications. */
export const comment = defineAction({
  name: 'comment',
  columns: {
    sourceId: `'comment:' || id`,
    type: 'null::text',
    recipientId: 'null::bigint',
    actorId: 'author_id',
    objectType: `'comment'`,
    objectId: 'id::text',
    threadKey: `'post:' || post_id`,
    groupKey: 'null::text',
    data: `jsonb_build_object('postId', post_id::text, 'commentId', id::text, 'parentId', parent_id::text)`,
  },
  data: Type.Object({ postId: Id, commentId: Id, parentId: Type.Union([Id, Type.Null()]) }),
  counters: ({ postId, parentId }) => [
    ['comment_count', postId],
    ...(parentId === null ? [] : [['reply_count', parentId] as ['reply_count', string]]),
  ],
  objects: ({ postId, commentId, parentId }, { objectType, objectId }) => [
    `post:${postId}`,
    `comment:${commentId}`,
    ...(parentId !== null && objectType === 'comment' && objectId === parentId ? [`comment:${parentId}` as const] : []),
  ],
})

type CommentKey = { id: string; postId: string; parentId: string | null }

/**
 * One event per recipient, of which only the first counts the comment. Without recipients, one event that only counts.
 */
export function creationEvents(key: CommentKey, actor: Actor, facts: CommentFacts): NewEvent[] {
  const event = commentEvent(key, actor)
  const events = recipientsOfComment(facts).map(({ recipientId, type, mentioned }, index) => {
    const data = mentioned ? { ...event.data, mentioned } : event.data
    return { ...event, ...aboutOf(type, key), counted: index === 0, recipientId, type, data }
  })
  return events.length > 0 ? events : [event]
}

/** Subtracts the comment from the counters. A fan-out takes back its notifications. */
export function retraction(key: CommentKey, actor: Actor): NewEvent {
  return { ...commentEvent(key, actor), retracts: true }
}

/** The event of a comment without a recipient. */
function commentEvent({ id, postId, parentId }: CommentKey, actor: Actor): NewEvent {
  return {
    action: comment.name,
    counted: true,
    sourceId: `comment:${id}`,
    type: null,
    recipientId: null,
    actorId: actor.userId,
    objectType: 'comment',
    objectId: id,
    threadKey: `post:${postId}`,
    groupKey: null,
    data: { postId, commentId: id, parentId },
    requestId: actor.requestId,
  }
}

/** The notification's object and group. */
function aboutOf(
  type: string,
  { id, postId, parentId }: CommentKey,
): Pick<NewEvent, 'objectType' | 'objectId' | 'groupKey'> {
  switch (type) {
    case 'comment.replied':
      return { objectType: 'comment', objectId: parentId, groupKey: `comment.replied:${parentId}` }
    case 'comment.created':
      return { objectType: 'post', objectId: postId, groupKey: `comment.created:${postId}` }
    default:
      return { objectType: 'comment', objectId: id, groupKey: null }
  }
}
