import { IntlMessageFormat } from 'intl-messageformat'
import type { NotificationType } from './types.ts'

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

/** Title, body, link and fallback of a notification: what was sent with it wins, the rest is made from its type's templates. */
export function render(notification: Renderable, type: Pick<NotificationType, Template>): Rendered {
  const values = valuesOf(notification)
  const fill = (template: string | null) => (template === null ? null : format(template, values))
  const title = notification.title ?? fill(type.title) ?? notification.type
  const body = notification.body ?? fill(type.body)
  const url = notification.url ?? fill(type.url)
  return { title, body, url, fallback: fill(type.fallback) ?? (body ? `${title}: ${body}` : title) }
}

type Template = 'title' | 'body' | 'url' | 'fallback'
type Values = Record<string, string | number>

/** `count` is of distinct people; without a first name nobody is known, without a second one only one is. */
function valuesOf({ data, objectType, objectId, actorIds, actorNames, actorCount }: Renderable): Values {
  const [first, second] = actorNames.map(shorten)
  const facts = Object.entries(data).filter((entry): entry is [string, string | number] => typeof entry[1] !== 'object')
  return {
    ...Object.fromEntries(facts),
    count: first === undefined ? 0 : second === undefined ? 1 : Math.max(actorCount, 2),
    first: first ?? '',
    second: second ?? '',
    object: objectType ?? '',
    postId: typeof data.postId === 'string' ? data.postId : objectType === 'post' ? (objectId ?? '') : '',
    anchor: typeof data.commentId === 'string' ? `#comment-${data.commentId}` : '',
    actorId: actorIds[0] ?? '',
  }
}

const compiled = new Map<string, IntlMessageFormat>()

/** Null when the template is malformed or speaks of something that is not there: nobody is told nonsense. */
function format(template: string, values: Values): string | null {
  try {
    let message = compiled.get(template)
    if (!message) {
      message = new IntlMessageFormat(template, 'en', undefined, { ignoreTag: true })
      compiled.set(template, message)
    }
    return String(message.format(values))
  } catch {
    return null
  }
}

/** Cuts by code points, so that no character is torn apart. */
function shorten(name: string): string {
  const characters = [...name]
  return characters.length > NAME_SHOWN ? `${characters.slice(0, NAME_SHOWN - 1).join('')}…` : name
}
