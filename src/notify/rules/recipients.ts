/**
 * A recipient of an action and the notification type. An action notifies a person once, for the most specific reason,
 * and nobody of their own actions.
 */
export type Told = {
  recipientId: string
  type: string
  /** The text names the recipient too, so that this never waits for a window: a mention would not. */
  mentioned?: true
}

/** What a comment has to do with people; null: there is nobody, or they deleted their account. */
export type CommentFacts = {
  authorId: string
  postAuthorId: string | null
  parentAuthorId: string | null
  mentionedIds: string[]
}

/** Replied before mentioned before created. */
export function recipientsOfComment({ authorId, postAuthorId, parentAuthorId, mentionedIds }: CommentFacts): Told[] {
  return mostSpecific(authorId, [
    ...tell('comment.replied', parentAuthorId).map((told) =>
      mentionedIds.includes(told.recipientId) ? { ...told, mentioned: true as const } : told,
    ),
    ...mentionedIds.flatMap((id) => tell('user.mentioned', id)),
    ...tell('comment.created', postAuthorId),
  ])
}

export function recipientsOfPost({ authorId, mentionedIds }: { authorId: string; mentionedIds: string[] }): Told[] {
  return mostSpecific(
    authorId,
    mentionedIds.flatMap((id) => tell('user.mentioned', id)),
  )
}

/** People one text may mention; further names are plain text. */
const MAX_MENTIONS = 50

/** A username in a text. Offsets are UTF-16 code units, as in JavaScript strings: `start` of the @, `end` behind the name. */
export type NamedAt = { name: string; start: number; end: number }

/** Usernames after an @ that does not follow a letter, a digit or _; in lower case, wherever they are, in order. */
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

function tell(type: string, recipientId: string | null): Told[] {
  return recipientId === null ? [] : [{ recipientId, type }]
}

/** Keeps the first reason for each person. */
function mostSpecific(actorId: string, reasons: Told[]): Told[] {
  const told = new Map<string, Told>()
  for (const reason of reasons) {
    if (reason.recipientId !== actorId && !told.has(reason.recipientId)) told.set(reason.recipientId, reason)
  }
  return [...told.values()]
}
