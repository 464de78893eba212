/**
 * A recipient of an action and the notification type. An action notifies a person once, for the most specific reason,
 * and nobody of their own actions.
 */
export type Recipient = {
  recipientId: string
  type: string
  /** True if the text also mentions the recipient. Then it does not wait for a window, like a mention. */
  mentioned?: true
}

/** People related to a comment. Null if there is nobody, or the account was deleted. */
export type CommentFacts = {
  authorId: string
  postAuthorId: string | null
  parentAuthorId: string | null
  mentionedIds: string[]
}

/** Order of precedence: replied, mentioned, created. */
export function recipientsOfComment({
  authorId,
  postAuthorId,
  parentAuthorId,
  mentionedIds,
}: CommentFacts): Recipient[] {
  return mostSpecific(authorId, [
    ...recipient('comment.replied', parentAuthorId).map((reply) =>
      mentionedIds.includes(reply.recipientId) ? { ...reply, mentioned: true as const } : reply,
    ),
    ...mentionedIds.flatMap((id) => recipient('user.mentioned', id)),
    ...recipient('comment.created', postAuthorId),
  ])
}

export function recipientsOfPost({
  authorId,
  mentionedIds,
}: {
  authorId: string
  mentionedIds: string[]
}): Recipient[] {
  return mostSpecific(
    authorId,
    mentionedIds.flatMap((id) => recipient('user.mentioned', id)),
  )
}

/** Maximum number of people that a text mentions. Further names are plain text. */
const MAX_MENTIONS = 50

/**
 * A username in a text. Offsets count UTF-16 code units, as in JavaScript strings. `start`: position of the @; `end`: position
 * after the name.
 */
export type NamedAt = { name: string; start: number; end: number }

/** Finds usernames after an @ that does not follow a letter, a digit or _. Returns all occurrences in order, in lower case. */
export function namesIn(body: string): NamedAt[] {
  const names = new Set<string>()
  const found: NamedAt[] = []
  for (const match of body.matchAll(/(?<![\p{L}\p{N}_])@([a-z0-9_]{3,30})(?![a-z0-9_])/giu)) {
    const name = match[1]?.toLowerCase()
    if (name === undefined || (names.size === MAX_MENTIONS && !names.has(name))) continue
    names.add(name)
    found.push({ name, start: match.index, end: match.index + match[0].length })
  }
  return found
}

function recipient(type: string, recipientId: string | null): Recipient[] {
  return recipientId === null ? [] : [{ recipientId, type }]
}

/** Keeps the first reason for each person. */
function mostSpecific(actorId: string, reasons: Recipient[]): Recipient[] {
  const recipients = new Map<string, Recipient>()
  for (const reason of reasons) {
    if (reason.recipientId !== actorId && !recipients.has(reason.recipientId))
      recipients.set(reason.recipientId, reason)
  }
  return [...recipients.values()]
}
