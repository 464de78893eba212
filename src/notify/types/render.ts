import { IntlMessageFormat } from 'intl-messageformat'
import { messageOf } from '../../errors.ts'
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
  /** The beginning of the post or comment; null: there is none. */
  preview: string | null
}

/** `fallback` is plain text for clients that do not know the type. */
export type Rendered = { title: string; body: string | null; url: string | null; fallback: string }

/** Two names of this length and the longest phrase stay below the 200 characters of a title. */
const NAME_SHOWN = 60
/** What data bring along may be longer. */
const TITLE_SHOWN = 200
const BODY_SHOWN = 2000

/** Title, body, link and fallback of a notification: what was sent with it wins, the rest is made from its type's templates. */
export function render(
  notification: Renderable,
  type: Pick<NotificationType, Template | 'words'>,
  locale: string | null = null,
): Rendered {
  const values = valuesOf(notification)
  const fill = (name: Template, longest = Number.POSITIVE_INFINITY) => {
    for (const { template, language } of templatesOf(type, name, locale)) {
      const text = format(template, language, values)
      if (text !== null) return text && shorten(text, longest)
    }
    return null
  }
  const title = notification.title ?? fill('title', TITLE_SHOWN) ?? notification.type
  const body = notification.body ?? fill('body', BODY_SHOWN)
  const url = notification.url ?? fill('url')
  return { title, body, url, fallback: fill('fallback') ?? (body ? `${title}: ${body}` : title) }
}

/** Of the columns of notify.types. */
const DEFAULT_LANGUAGE = 'en'

/** The templates to try: of the locale, of its shorter forms (de-AT, de), and the type's own. */
function templatesOf(
  type: Pick<NotificationType, Template | 'words'>,
  name: Template,
  locale: string | null,
): { template: string; language: string }[] {
  const found: { template: string; language: string }[] = []
  if (name !== 'url')
    for (let tag = locale ?? ''; tag !== ''; tag = tag.slice(0, Math.max(0, tag.lastIndexOf('-')))) {
      const template = type.words[tag]?.[name]
      if (template !== undefined) found.push({ template, language: tag })
    }
  const own = type[name]
  return own === null ? found : [...found, { template: own, language: DEFAULT_LANGUAGE }]
}

export type Template = 'title' | 'body' | 'url' | 'fallback'
type Values = Record<string, string | number>
type Facts = Omit<Renderable, Template | 'type'>

/** `count` is of distinct people; without a first name nobody is known, without a second one only one is. */
function valuesOf({ data, objectType, objectId, actorIds, actorNames, actorCount, preview }: Facts): Values {
  const [first, second] = actorNames.map((name) => shorten(name, NAME_SHOWN))
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
    // Without one, a template that has it is not used.
    ...(preview !== null && { preview }),
  }
}

const compiled = new Map<string, IntlMessageFormat>()

/** Null when the template is malformed or speaks of something that is not there: nobody is told nonsense. */
function format(template: string, language: string, values: Values): string | null {
  try {
    const key = `${language} ${template}`
    let message = compiled.get(key)
    if (!message) {
      message = compile(template, language)
      compiled.set(key, message)
    }
    return String(message.format(values))
  } catch {
    return null
  }
}

function compile(template: string, language: string): IntlMessageFormat {
  return new IntlMessageFormat(template, language, undefined, { ignoreTag: true })
}

/** Cuts by code points, so that no character is torn apart. */
function shorten(text: string, longest: number): string {
  if (text.length <= longest) return text
  const characters = [...text]
  return characters.length > longest ? `${characters.slice(0, longest - 1).join('')}…` : text
}

/**
 * What is wrong with a template, for whoever writes it; null: nothing. Tried with nobody, one, two and many people.
 * @param anyData whether data may hold facts that we do not know, as those of sends
 */
export function faultOfTemplate(
  name: Template,
  template: string,
  anyData: boolean,
  language = DEFAULT_LANGUAGE,
): string | null {
  try {
    const message = compile(template, language)
    const words = [0, 1, 2, 3, 10].map((people) => String(message.format(sampleOf(people, anyData))))
    if (words.some((text) => text.trim() === '')) return 'nothing is left of it'
    return name === 'url' && !words.every(isLink) ? 'a link begins with /, http:// or https://' : null
  } catch (error) {
    return messageOf(error)
  }
}

function sampleOf(people: number, anyData: boolean): Values {
  const names = ['Ana', 'Ben', 'Cem'].slice(0, people)
  const values = valuesOf({
    ...{ data: { postId: '1', commentId: '1', parentId: '1' }, objectType: 'post', objectId: '1' },
    ...{ actorIds: names.length > 0 ? ['1'] : [], actorNames: names, actorCount: people, preview: 'Hello' },
  })
  return anyData ? new Proxy(values, { has: () => true, get: (known, fact) => Reflect.get(known, fact) ?? 1 }) : values
}

export function isLink(text: string): boolean {
  return /^(https?:\/\/|\/(?!\/))[^\s\\]*$/.test(text)
}
