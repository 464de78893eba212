import { type Static, Type } from '@sinclair/typebox'
import { IntlMessageFormat } from 'intl-messageformat'
import { isWallTime } from '../../base/wall-time.ts'
import { fail, messageOf } from '../../errors.ts'
import { isLink } from '../types/render.ts'

const variableTypes = ['string', 'number', 'boolean', 'date'] as const
const Value = Type.Union([Type.String({ maxLength: 2000 }), Type.Number(), Type.Boolean()])

/** A variable of a template. */
export const Variable = Type.Object(
  {
    type: Type.Unsafe<(typeof variableTypes)[number]>({
      type: 'string',
      enum: [...variableTypes],
      description: 'date: an RFC 3339 time, shown in UTC',
    }),
    required: Type.Optional(Type.Boolean({ default: true, description: 'A variable that is not needs a default' })),
    default: Type.Optional(Value),
  },
  { additionalProperties: false },
)
export type Variable = Static<typeof Variable>
export const Variables = Type.Record(Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_]{0,59}$' }), Variable, {
  maxProperties: 50,
})

/** Values of variables, by name. */
export const Values = Type.Record(Type.String({ maxLength: 60 }), Value, { maxProperties: 50 })
export type Values = Static<typeof Values>

/** The texts of a template: ICU messages over the variables; `translations` by BCP 47 tag. */
export type Messages = {
  title: string
  body: string | null
  url: string | null
  variables: Record<string, Variable>
  translations: Record<string, { title: string; body?: string | null }>
}

/** The texts of a notification in one language. */
export type Words = { title: string; body: string | null }
/** Properties that are the same in all languages of a template. */
export type TranslatedWords = Words & { url: string | null; translations: Record<string, Words> }

/** Language of the texts outside `translations`. */
const DEFAULT_LANGUAGE = 'en'
const LONGEST_TITLE = 200
const LONGEST_BODY = 2000
const LONGEST_URL = 2000

/**
 * Checks everything that could fail when the template is used: syntax, variables, their types and defaults, and that each
 * translation has all texts.
 * @returns the messages with canonical language tags
 * @throws {AppError} BAD_TEMPLATE with the place and the fault
 */
export function checkMessages(messages: Messages): Messages {
  for (const [name, variable] of Object.entries(messages.variables)) checkVariable(name, variable)
  const translations = Object.entries(messages.translations).map(([tag, words]) => {
    if (messages.body !== null && !words.body) throw bad(`translations/${tag}/body`, 'the translation is missing')
    if (messages.body === null && words.body) throw bad(`translations/${tag}/body`, 'the template has no body')
    return [canonicalTag(tag), { title: words.title, body: words.body ?? null }] as const
  })
  const checked = { ...messages, translations: Object.fromEntries(translations) }
  for (const { place, message, language } of messagesOf(checked))
    checkMessage(place, message, language, checked.variables)
  for (const n of [0, 1, 2, 5]) renderMessages(checked, samples(checked.variables, n))
  return checked
}

/**
 * Renders the texts in every language.
 * @throws {AppError} VALIDATION_FAILED for values that do not fit the variables; BAD_TEMPLATE for texts that are empty,
 * too long, or not a link
 */
export function renderMessages(messages: Messages, given: Values): TranslatedWords {
  const values = valuesOf(messages.variables, given)
  const words = (place: string, { title, body }: { title: string; body?: string | null }, language: string): Words => ({
    title: text(`${place}title`, title, language, values, LONGEST_TITLE),
    body: body ? text(`${place}body`, body, language, values, LONGEST_BODY) : null,
  })
  const url =
    messages.url === null
      ? null
      : text('url', messages.url, DEFAULT_LANGUAGE, inLink(messages.url, values), LONGEST_URL)
  if (url !== null && !isLink(url)) throw bad('url', 'a link begins with /, http:// or https://')
  const translations = Object.entries(messages.translations).map(
    ([tag, of]) => [tag, words(`translations/${tag}/`, of, tag)] as const,
  )
  return { ...words('', messages, DEFAULT_LANGUAGE), url, translations: Object.fromEntries(translations) }
}

/** Renders a link. Values are percent-encoded, unless the link begins with one. */
function inLink(url: string, values: Filled): Filled {
  if (url.startsWith('{')) return values
  const encoded = Object.entries(values).map(([name, value]) => {
    return [name, typeof value === 'string' ? encodeURIComponent(value) : value] as const
  })
  return Object.fromEntries(encoded)
}

/** The texts for a locale: its own, those of a shorter form (de-AT, de), or the default ones. */
export function wordsFor({ translations, title, body }: TranslatedWords, locale: string | null): Words {
  for (let tag = locale ?? ''; tag !== ''; tag = tag.slice(0, Math.max(0, tag.lastIndexOf('-')))) {
    const found = translations[tag]
    if (found) return found
  }
  return { title, body }
}

function checkVariable(name: string, { type, required = true, default: otherwise }: Variable): void {
  if (otherwise === undefined && !required)
    throw bad(`variables/${name}`, 'a variable that is not required needs a default')
  if (otherwise !== undefined && typed(type, otherwise) === undefined)
    throw bad(`variables/${name}/default`, `the default is not a ${type}`)
}

function messagesOf({ title, body, url, translations }: Messages) {
  const own = { title, body, url }
  const all = [
    ...Object.entries(own).map(([place, message]) => ({ place, message, language: DEFAULT_LANGUAGE })),
    ...Object.entries(translations).flatMap(([language, words]) =>
      Object.entries(words).map(([name, message]) => ({
        place: `translations/${language}/${name}`,
        message,
        language,
      })),
    ),
  ]
  return all.flatMap(({ place, message, language }) => (message ? [{ place, message, language }] : []))
}

function checkMessage(place: string, message: string, language: string, variables: Messages['variables']): void {
  for (const { name, needs } of argumentsOf(compile(place, message, language).getAst())) {
    const variable = Object.hasOwn(variables, name) ? variables[name] : undefined
    if (!variable) throw bad(place, `{${name}} is not among the variables`)
    if (needs && variable.type !== needs) throw bad(place, `{${name}} is used as a ${needs} and is a ${variable.type}`)
  }
}

type Element = ReturnType<IntlMessageFormat['getAst']>[number]

/** Kinds of elements, as in @formatjs/icu-messageformat-parser. */
const [LITERAL, NUMBER, DATE, TIME, PLURAL, POUND] = [0, 2, 3, 4, 6, 7] as number[]

/** Every argument of a message, and the type of variable that it requires, if any. */
function argumentsOf(elements: Element[]): { name: string; needs: Variable['type'] | null }[] {
  return elements.flatMap((element) => {
    const kind: number = element.type
    if (kind === LITERAL || kind === POUND || !('value' in element)) return []
    const needs = kind === NUMBER || kind === PLURAL ? 'number' : kind === DATE || kind === TIME ? 'date' : null
    const inner = 'options' in element ? Object.values(element.options).flatMap(({ value }) => argumentsOf(value)) : []
    return [{ name: String(element.value), needs } as const, ...inner]
  })
}

const compiled = new Map<string, IntlMessageFormat>()
/** Maximum number of parsed messages in memory: an editor's previews would otherwise add one for each keystroke. */
const COMPILED_KEPT = 500

/**
 * Parses a message.
 * @throws {AppError} BAD_TEMPLATE for a syntax error
 */
function compile(place: string, message: string, language: string): IntlMessageFormat {
  const key = `${language} ${message}`
  const known = compiled.get(key)
  if (known) return known
  try {
    const made = new IntlMessageFormat(message, language, undefined, { ignoreTag: true, formatters })
    if (compiled.size >= COMPILED_KEPT) compiled.clear()
    compiled.set(key, made)
    return made
  } catch (error) {
    throw bad(place, messageOf(error), error)
  }
}

/** One broadcast goes to many time zones, so times are shown in UTC unless a skeleton names another zone. */
const formatters = {
  getNumberFormat: (locales?: string | string[], options?: Intl.NumberFormatOptions) =>
    new Intl.NumberFormat(locales, options),
  getDateTimeFormat: (locales?: string | string[], options?: Intl.DateTimeFormatOptions) =>
    new Intl.DateTimeFormat(locales, { timeZone: 'UTC', ...options }),
  getPluralRules: (locales?: string | string[], options?: Intl.PluralRulesOptions) =>
    new Intl.PluralRules(locales, options),
}

type Filled = Record<string, string | number | Date>

function text(place: string, message: string, language: string, values: Filled, longest: number): string {
  let filled: string
  try {
    filled = String(compile(place, message, language).format(values)).trim()
  } catch (error) {
    throw bad(place, messageOf(error), error)
  }
  if (filled === '') throw bad(place, 'nothing is left of it')
  if (filled.length > longest) throw bad(place, `it becomes longer than ${longest} characters`)
  return filled
}

/**
 * Checks the values of the variables.
 * @throws {AppError} VALIDATION_FAILED
 */
function valuesOf(variables: Messages['variables'], given: Values): Filled {
  const wrong = (name: string, why: string) => fail('VALIDATION_FAILED', why, { pointer: `/variables/${name}` })
  for (const name of Object.keys(given))
    if (!Object.hasOwn(variables, name)) throw wrong(name, `The template has no variable ${name}`)
  return Object.fromEntries(
    Object.entries(variables).map(([name, { type, default: otherwise }]) => {
      const value = given[name] ?? otherwise
      if (value === undefined) throw wrong(name, `The variable ${name} is required`)
      const filled = typed(type, value)
      if (filled === undefined) throw wrong(name, `The variable ${name} must be a ${type}`)
      return [name, filled]
    }),
  )
}

/** Converts a value to the type of the variable; undefined if it does not fit. Booleans become words, for `select`. */
function typed(type: Variable['type'], value: string | number | boolean): string | number | Date | undefined {
  if (type === 'boolean') return typeof value === 'boolean' ? String(value) : undefined
  if (type === 'number') return typeof value === 'number' ? value : undefined
  if (typeof value !== 'string') return undefined
  if (type === 'string') return value
  const isTime = /^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/i.test(value)
  const time = new Date(value)
  const isOfCalendar = isWallTime(`${value.slice(0, 'yyyy-mm-dd'.length)}T00:00:00`)
  return isTime && isOfCalendar && !Number.isNaN(time.getTime()) ? time : undefined
}

function samples(variables: Messages['variables'], n: number): Values {
  const sample = { string: 'x', number: n, boolean: n % 2 === 0, date: '2026-01-31T12:00:00Z' }
  return Object.fromEntries(Object.entries(variables).map(([name, { type }]) => [name, sample[type]]))
}

/** Writes a language tag like the stored locales of users: pt-BR. */
function canonicalTag(tag: string): string {
  try {
    return Intl.getCanonicalLocales(tag)[0] ?? tag
  } catch (cause) {
    throw fail('VALIDATION_FAILED', `${tag} is not a language tag like pt-BR`, { pointer: '/translations', cause })
  }
}

function bad(place: string, fault: string, cause?: unknown) {
  return fail('BAD_TEMPLATE', `${place}: ${fault}`, { cause })
}
