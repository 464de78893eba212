import { type Priority, priorities } from '../../protocol/notification.ts'
import type { OutboxEvent } from '../outbox/event.ts'
import type { Channel, NotificationType } from '../types/types.ts'
import { noWords, type SentWords } from './model.ts'

export function priorityOf({ action, data }: OutboxEvent, type: NotificationType): Priority {
  return (action === 'send' && (data.priority as Priority | undefined)) || type.priority
}

export function moreUrgent(one: Priority, other: Priority): Priority {
  return priorities.indexOf(one) < priorities.indexOf(other) ? one : other
}

/** The data of an event. A send contains its texts beside the data, a social event contains whether it may wait. */
export function dataOf({ action, data }: OutboxEvent): Record<string, unknown> {
  if (action === 'send') return (data.data as Record<string, unknown> | undefined) ?? {}
  const { mentioned: _, ...facts } = data
  return facts
}

/** Returns the data of the later comment, by event id. Events that were set aside may arrive in another order. */
export function latestFacts(one: Record<string, unknown>, other: Record<string, unknown>): Record<string, unknown> {
  return Number(one.commentId ?? 0) > Number(other.commentId ?? 0) ? one : other
}

/** Returns the data of a group after its latest comment changed. Null if no comment is known. */
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

/** Channels to which the sender restricts a broadcast; null: all. */
export function channelsOf({ action, data }: OutboxEvent): Channel[] | null {
  return (action === 'send' && (data.channels as Channel[] | undefined)) || null
}

/** True for sends, because a window does not keep their texts, and for mentions. */
export function neverWaits({ action, data }: OutboxEvent): boolean {
  return action === 'send' || data.mentioned === true
}

export function sentWords({ data }: OutboxEvent): SentWords {
  const { title = null, body = null, url = null, severity = null, expiresAt = null } = data as Partial<SentWords>
  return { title, body, url, severity, expiresAt }
}

/**
 * Returns the texts of a group after another send joined it: the latest texts, with the latest expiry of all sends. If one of
 * them has no expiry, the retention of the type applies.
 */
export function joinWords(words: SentWords, before: SentWords): SentWords {
  if (before === noWords || words.expiresAt === null) return words
  const expiresAt = before.expiresAt && (before.expiresAt > words.expiresAt ? before.expiresAt : words.expiresAt)
  return { ...words, expiresAt }
}

export function aboutOf(event: OutboxEvent) {
  const { objectType, objectId, threadKey } = event
  return { objectType, objectId, threadKey, data: dataOf(event) }
}
