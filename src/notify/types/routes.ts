import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { type Static, Type } from '@sinclair/typebox'
import type { App } from '../../app.ts'
import { inTransaction } from '../../db/transaction.ts'
import { fail } from '../../errors.ts'
import { decodeCursor, PageQuery } from '../../http/paging.ts'
import { readErrors, shownPageOf } from '../../http/shown-sql/reader.ts'
import { Priority, Severity } from '../../protocol/notification.ts'
import { LANGUAGE_TAG } from '../../protocol/patterns.ts'
import { audited } from '../audit/audited.ts'
import { faultOfTemplate, type Template } from './render.ts'
import { type StoredType, updateType } from './store.ts'
import { channels, type NotificationType as Properties, type WordsByLocale } from './types.ts'

const WEEK_SECONDS = 604_800
const TEN_YEARS_SECONDS = 315_360_000

const template = Type.Unsafe<string | null>({
  type: ['string', 'null'],
  minLength: 1,
  maxLength: 1000,
  description: 'ICU message',
})
const word = Type.Optional(Type.String({ minLength: 1, maxLength: 1000, description: 'ICU message' }))
const Words = Type.Object({ title: word, body: word, fallback: word }, { additionalProperties: false })
const settings = {
  priority: Priority,
  followedPriority: Type.Unsafe<Static<typeof Priority> | null>({
    type: ['string', 'null'],
    enum: ['critical', 'high', 'normal', 'low', null],
    description: 'Priority when the recipient follows the actor; null: same as priority',
  }),
  severity: Severity,
  channels: Type.Array(Type.Unsafe<(typeof channels)[number]>({ type: 'string', enum: [...channels] }), {
    uniqueItems: true,
    description: 'Whether the channel is on by default',
  }),
  instantThreshold: Type.Integer({
    minimum: 0,
    maximum: 1000,
    description: 'Actors shown one by one before grouping starts',
  }),
  windowSeconds: Type.Integer({ minimum: 0, maximum: 86_400, description: '0: notifications are never grouped' }),
  jitter: Type.Number({
    minimum: 0,
    maximum: 1,
    description: 'Random share by which windows are lengthened or shortened',
  }),
  maxGroupSize: Type.Integer({ minimum: 1, maximum: 1_000_000 }),
  retentionSeconds: Type.Integer({ minimum: 60, maximum: TEN_YEARS_SECONDS, examples: [13 * WEEK_SECONDS] }),
  dnd: Type.Unsafe<'defer' | 'silent' | 'ignore'>({ type: 'string', enum: ['defer', 'silent', 'ignore'] }),
  title: template,
  body: template,
  url: template,
  fallback: template,
  words: Type.Record(Type.String({ pattern: LANGUAGE_TAG }), Words, {
    maxProperties: 100,
    description:
      'Templates in other languages, by BCP 47 tag; a text that a locale lacks is taken from its language, then from the English texts above',
    examples: [{ de: { title: 'Jemand hat dich erwähnt' } }],
  }),
}
const NotificationType = Type.Object({
  type: Type.String(),
  ...settings,
  updatedAt: Type.String({ format: 'date-time' }),
})
const Change = Type.Partial(Type.Object(settings), { additionalProperties: false, minProperties: 1 })
const OneType = Type.Object({ type: Type.String({ minLength: 1, maxLength: 100, examples: ['post.liked'] }) })

/** Settings of the notification types. Processes apply a change within two seconds. */
export function typeRoutes({ pool, reader, types }: App): FastifyPluginAsyncTypebox {
  return async (server) => {
    server.get(
      '/admin/notification-types',
      {
        config: { role: 'reader' },
        schema: {
          tags: ['admin'],
          summary: 'List the notification types',
          description: 'Words, thresholds, windows, channels and retention of each type.',
          answers: { 200: 'All types, on one page' },
          errors: [...readErrors],
          querystring: PageQuery,
          response: { 200: shownPageOf(NotificationType) },
        },
      },
      async ({ query: { limit = 20, cursor } }) => {
        const [before] = decodeCursor(cursor, 1) ?? []
        const offset = Number(before ?? 0)
        return reader.readPage('notification-types', [offset, limit + 1], limit, () => [offset + limit])
      },
    )

    server.patch(
      '/admin/notification-types/:type',
      {
        config: { role: 'admin' },
        schema: {
          tags: ['admin'],
          summary: 'Change a notification type; takes effect within two seconds',
          description: 'Only the sent properties change. Applies to new notifications in every process.',
          answers: { 200: 'The changed type' },
          errors: ['NOTIFICATION_TYPE_NOT_FOUND', 'BAD_TEMPLATE'],
          params: OneType,
          body: Change,
          response: { 200: NotificationType },
        },
      },
      async (request) => {
        const {
          params: { type },
          body,
        } = request
        const change = body.words ? { ...body, words: canonical(body.words) } : body
        checkTemplates((await types.current())(type), change)
        return inTransaction(pool, async (trx) => {
          const changed = await updateType(trx, type, change)
          if (!changed) throw fail('NOTIFICATION_TYPE_NOT_FOUND')
          const { before, now } = changed
          await audited(trx, request, {
            action: 'notification_type.change',
            target: `notification_type:${type}`,
            before,
            after: change,
          })
          return toAnswer(now)
        })
      },
    )
  }
}

/** Social actions have no title of their own and only known data. */
function checkTemplates({ type, social }: Properties, change: Static<typeof Change>): void {
  if (social && change.title === null) throw fail('BAD_TEMPLATE', `title: the type ${type} requires a title`)
  for (const name of ['title', 'body', 'url', 'fallback'] satisfies Template[]) {
    const template = change[name]
    const fault = typeof template === 'string' ? faultOfTemplate(name, template, !social) : null
    if (fault) throw fail('BAD_TEMPLATE', `${name}: ${fault}`)
  }
  for (const [locale, words] of Object.entries(change.words ?? {}))
    for (const name of ['title', 'body', 'fallback'] as const) {
      const template = words[name]
      const fault = template === undefined ? null : faultOfTemplate(name, template, !social, locale)
      if (fault) throw fail('BAD_TEMPLATE', `words/${locale}/${name}: ${fault}`)
    }
}

/** Writes tags like the stored locales of users: pt-BR. */
function canonical(words: WordsByLocale): WordsByLocale {
  return Object.fromEntries(
    Object.entries(words).map(([tag, templates]) => {
      try {
        return [Intl.getCanonicalLocales(tag)[0] ?? tag, templates]
      } catch (cause) {
        throw fail('VALIDATION_FAILED', `${tag} is not a language tag like pt-BR`, { pointer: '/words', cause })
      }
    }),
  )
}

function toAnswer({ updatedAt, social: _, ...type }: StoredType) {
  return { ...type, updatedAt: updatedAt.toISOString() }
}
