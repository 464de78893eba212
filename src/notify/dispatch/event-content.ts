import { type Priority, priorities } from '../../protocol/notification.ts'
import type { OutboxEvent } from '../outbox/event.ts'
import type { NotificationType } from '../types/types.ts'
import { noWords, type SentWords } from './model.ts'

export function priorityOf({ action, data }: OutboxEvent, type: NotificationType): Priority {
  return (action === 'send' && (data.priority as Priority | undefined)) || type.priority
}

export function moreUrgent(one: Priority, other: Priority): Priority {
  return priorities.indexOf(one) < priorities.indexOf(other) ? one : other
}

/** A send carries its words beside the sender's data. A social event carries data and whether it may wait. */
export function dataOf({ action, data }: OutboxEvent): Record<string, unknown> {
  if (action === 'send') return (data.data as Record<string, unknown> | undefined) ?? {}
  const { mentioned: _, ...facts } = data
  return facts
}

/** The data of the later comment. Ids grow over time, but events may come in another order when some were set aside. */
export function latestFacts(one: Record<string, unknown>, other: Record<string, unknown>): Record<string, unknown> {
  return Number(one.commentId ?? 0) > Number(other.commentId ?? 0) ? one : other
}

/** Data of a group after its latest comment changed; null when none is known. */
export function factsWith(
  { data, objectType }: Pick<OutboxEvent, 'data' | 'objectType'>,
  commentId: string | null,
): Record<string, unknown> {
  const { commentId: before, parentId, ...facts } = data
  if (before === commentId) return data
  // The comments of a post may reply to different comments, or to none.
  const parent = objectType === 'comment' && parentId !== undefined ? { parentId } : {}
  return { ...facts, ...parent, ...(commentId !== null && { commentId }) }
}

/** Id of the comment of a row `s` of notify.sources; null when the source is not a comment. */
export const commentOfSource = `substring(s.source_id from '^comment:(\\d{1,18})$')::bigint`

/** A send has its own words, which a window does not keep. A mention never waits, whatever it is in. */
export function neverWaits({ action, data }: OutboxEvent): boolean {
  return action === 'send' || data.mentioned === true
}

export function sentWords({ data }: OutboxEvent): SentWords {
  const { title = null, body = null, url = null, severity = null, expiresAt = null } = data as Partial<SentWords>
  return { title, body, url, severity, expiresAt }
}

/**
 * The words of a group after another send joined it: the latest ones, with the latest expiry of all its sends. When one
 * of them has no expiry, the group expires with the retention of its type.
 */
export function saying(words: SentWords, before: SentWords): SentWords {
  if (before === noWords || words.expiresAt === null) return words
  const expiresAt = before.expiresAt && (before.expiresAt > words.expiresAt ? before.expiresAt : words.expiresAt)
  return { ...words, expiresAt }
}

export function aboutOf(event: OutboxEvent) {
  const { objectType, objectId, threadKey } = event
  return { objectType, objectId, threadKey, data: dataOf(event) }
}
