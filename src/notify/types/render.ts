import { messageOf } from '../../errors.ts'
import { compileMessage, type Filler, type Values } from './compile.ts'
import type { NotificationType } from './types.ts'

/** Input for the text of a notification. `actorNames`: display names, in the order of `actors`. */
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
  /** The preview of the post or comment; null without one. */
  preview: string | null
}

/** `fallback` is plain text for clients that do not know the type. */
export type Rendered = { title: string; body: string | null; url: string | null; fallback: string }

/** Maximum length of a name. Two names and the longest phrase stay below 200 characters, the limit of a title. */
const NAME_SHOWN = 60
/** Maximum length of a value from `data`. */
const TITLE_SHOWN = 200
const BODY_SHOWN = 2000

/**
 * Title, body, link and fallback of a notification. The text of a send has precedence; the rest comes from the
 * templates of the type.
 */
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

/** Names of the columns of notify.types. */
const DEFAULT_LANGUAGE = 'en'

/** The templates to try: for the locale, for its shorter forms (de-AT, de), then those of the type. */
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
type Facts = Omit<Renderable, Template | 'type'>

/** `count`: distinct actors. Without a first name no actor is known, without a second only one is. */
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
    // When the argument is missing, templates that use it are skipped.
    ...(preview !== null && { preview }),
  }
}

const compiled = new Map<string, Filler>()

/** Renders a template. Null when it is malformed or uses a missing argument, so that no broken text is shown. */
function format(template: string, language: string, values: Values): string | null {
  try {
    const key = `${language} ${template}`
    let fill = compiled.get(key)
    if (!fill) {
      fill = compileMessage(template, language)
      compiled.set(key, fill)
    }
    return fill(values)
  } catch {
    return null
  }
}

/** Cuts by code points, so that no surrogate pair is split. */
function shorten(text: string, longest: number): string {
  if (text.length <= longest) return text
  const characters = [...text]
  return characters.length > longest ? `${characters.slice(0, longest - 1).join('')}…` : text
}

/**
 * The fault of a template, for its author; null when valid. Tries it with no, one, two and many actors.
 * @param anyData whether `data` can have unknown keys, as in sends
 */
export function faultOfTemplate(
  name: Template,
  template: string,
  anyData: boolean,
  language = DEFAULT_LANGUAGE,
): string | null {
  try {
    const fill = compileMessage(template, language)
    const words = [0, 1, 2, 3, 10].map((people) => fill(sampleOf(people, anyData)))
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
