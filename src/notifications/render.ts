/** What the words of a notification are made of. `actorNames`: display names, latest first. */
export type Renderable = {
  type: string
  title: string | null
  body: string | null
  url: string | null
  data: Record<string, unknown>
  objectType: string | null
  objectId: string | null
  actorIds: string[]
  actorNames: string[]
  actorCount: number
}

/** `fallback` is plain text for clients that do not know the type. */
export type Rendered = { title: string; body: string | null; url: string | null; fallback: string }

/** Two names of this length and the longest phrase stay below the 200 characters of a title. */
const NAME_SHOWN = 60

/** Title, body, link and fallback of a notification: what was sent with it wins, the rest is made from its type. Pure. */
export function render(notification: Renderable): Rendered {
  const title = notification.title ?? titleOf(notification)
  const body = notification.body
  return { title, body, url: notification.url ?? urlOf(notification), fallback: body ? `${title}: ${body}` : title }
}

function titleOf(notification: Renderable): string {
  const phrase = phraseOf(notification)
  return phrase ? `${people(notification)} ${phrase}` : notification.type
}

function phraseOf({ type, objectType }: Pick<Renderable, 'type' | 'objectType'>): string | null {
  switch (type) {
    case 'post.liked':
      return 'liked your post'
    case 'comment.created':
      return 'commented on your post'
    case 'comment.replied':
      return 'replied to your comment'
    case 'user.mentioned':
      return objectType === 'comment' ? 'mentioned you in a comment' : 'mentioned you in a post'
    case 'user.followed':
      return 'followed you'
    case 'post.published':
      return 'published a post'
    default:
      return null
  }
}

/** "Ana", "Ana and Ben", "Ana, Ben and 1 other", "Ana, Ben and 8 others". */
function people({ actorNames, actorCount }: Renderable): string {
  const [first, second] = actorNames.map(shorten)
  if (!first) return 'Someone'
  const others = Math.max(actorCount, actorNames.length) - (second ? 2 : 1)
  if (!second) return others > 0 ? `${first} and ${count(others)}` : first
  return others > 0 ? `${first}, ${second} and ${count(others)}` : `${first} and ${second}`
}

function count(others: number): string {
  return others === 1 ? '1 other' : `${others} others`
}

/** Cuts by code points, so that no character is torn apart. */
function shorten(name: string): string {
  const characters = [...name]
  return characters.length > NAME_SHOWN ? `${characters.slice(0, NAME_SHOWN - 1).join('')}…` : name
}

function urlOf({ type, data, objectType, objectId, actorIds }: Renderable): string | null {
  if (type === 'user.followed') return actorIds[0] ? `/users/${actorIds[0]}` : null
  if (phraseOf({ type, objectType }) === null) return null
  const postId = typeof data.postId === 'string' ? data.postId : objectType === 'post' ? objectId : null
  if (!postId) return null
  return typeof data.commentId === 'string' ? `/posts/${postId}#comment-${data.commentId}` : `/posts/${postId}`
}
