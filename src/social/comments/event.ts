import type { NewEvent } from '../../notify/outbox/append.ts'
import { type CommentFacts, recipientsOfComment } from '../../notify/rules/recipients.ts'
import type { Actor } from '../posts/write.ts'

type CommentKey = { id: string; postId: string; parentId: string | null }

/** One event per person who is told, the first of them counted; without anybody, one that only counts. */
export function creationEvents(comment: CommentKey, actor: Actor, facts: CommentFacts): NewEvent[] {
  const event = commentEvent(comment, actor)
  const told = recipientsOfComment(facts).map(({ recipientId, type, mentioned }, index) => {
    const data = mentioned ? { ...event.data, mentioned } : event.data
    return { ...event, ...aboutOf(type, comment), counted: index === 0, recipientId, type, data }
  })
  return told.length > 0 ? told : [event]
}

/** Takes the comment out of the counters; its notifications are taken back by a fan-out. */
export function retraction(comment: CommentKey, actor: Actor): NewEvent {
  return { ...commentEvent(comment, actor), retracts: true }
}

/** The event of a comment that tells nobody. */
function commentEvent({ id, postId, parentId }: CommentKey, actor: Actor): NewEvent {
  return {
    action: 'comment',
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

/** What the notification is about, and what it is grouped by. */
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
