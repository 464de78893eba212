import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { type Static, Type } from '@sinclair/typebox'
import type { App } from '../../app.ts'
import { inTransaction } from '../../db/transaction.ts'
import { fail } from '../../errors.ts'
import { answerOnce, answerReadOnce, IdempotencyHeader } from '../../http/idempotency.ts'
import { decodeCursor, PageQuery } from '../../http/paging.ts'
import { readErrors, shown, shownPageOf } from '../../http/shown-sql/reader.ts'
import { ExternalId, Id } from '../../protocol/id.ts'
import { textOrNull } from '../../protocol/nullable.ts'
import { LANGUAGE_TAG, SENT_TYPE } from '../../protocol/patterns.ts'
import { audited, formerOf } from '../audit/audited.ts'
import { usersOf } from '../sends/send.ts'
import type { TypeLookup } from '../types/types.ts'
import { checkMessages, Values, Variables } from './message.ts'
import { Preview, previewTemplate } from './preview.ts'
import {
  createTemplate,
  deleteTemplate,
  findTemplate,
  type Template as Stored,
  type TemplateContent,
  updateTemplate,
} from './store.ts'

const closed = { additionalProperties: false }
const message = (maxLength: number) =>
  Type.String({ minLength: 1, maxLength, description: 'ICU message over the variables' })
const messageOrNull = (maxLength: number) => textOrNull('ICU message over the variables', { minLength: 1, maxLength })
const name = Type.String({ minLength: 1, maxLength: 100, examples: ['Invoice'] })
const type = Type.String({
  maxLength: 100,
  pattern: SENT_TYPE,
  description: 'system, or a name with a dot that belongs to no social action',
  examples: ['shop.invoice'],
})
const title = message(1000)
const body = messageOrNull(4000)
const url = messageOrNull(2000)
export const Translations = Type.Record(
  Type.String({ pattern: LANGUAGE_TAG }),
  Type.Object({ title, body: Type.Optional(body) }, closed),
  { maxProperties: 100, description: 'By BCP 47 tag; each has a title, and a body where the template has one' },
)

const example = {
  name: 'Invoice',
  type: 'shop.invoice',
  title: 'Invoice {number}',
  body: '{items, plural, one {# item} other {# items}}',
  url: '/invoices/{number}',
  variables: {
    number: { type: 'string' as const, required: true },
    items: { type: 'number' as const, required: true },
  },
  translations: {
    de: { title: 'Rechnung {number}', body: '{items, plural, one {# Artikel} other {# Artikel}}' },
  },
}
const optional = {
  type: Type.Optional(Type.Unsafe<string>({ ...type, default: 'system' })),
  body: Type.Optional(body),
  url: Type.Optional(url),
  variables: Type.Optional(Variables),
  translations: Type.Optional(Translations),
}
const NewTemplate = Type.Object({ name, title, ...optional }, { ...closed, examples: [example] })
const Change = Type.Object(
  { ...optional, type: Type.Optional(type), name: Type.Optional(name), title: Type.Optional(title) },
  { ...closed, minProperties: 1 },
)
const time = Type.String({ format: 'date-time' })
export const Template = Type.Object({
  id: Id,
  name,
  version: Type.Integer({ minimum: 1, description: 'Grows with each change; former versions are kept' }),
  type: Type.String(),
  title,
  body,
  url,
  variables: Variables,
  translations: Translations,
  createdAt: time,
  updatedAt: time,
})
const OneTemplate = Type.Object({ id: Id })
const previewOf = {
  variables: Type.Optional(Values),
  userId: Type.Optional(Id),
  externalId: Type.Optional(ExternalId),
  locale: Type.Optional(Type.String({ pattern: LANGUAGE_TAG, maxLength: 35 })),
}
const PreviewOf = Type.Object(previewOf, closed)
const { name: _, ...exampleText } = example
const PreviewOfText = Type.Object(
  { template: Type.Object({ title, ...optional }, { ...closed, examples: [exampleText] }), ...previewOf },
  closed,
)

const [toRead, toWrite] = [{ role: 'reader' }, { role: 'admin' }] as const

/** Routes of templates, from which broadcasts are made. */
export function templateRoutes(app: App): FastifyPluginAsyncTypebox {
  const { pool, reader, types } = app
  const check = (content: TemplateContent, lookup: TypeLookup): TemplateContent => {
    if (lookup(content.type).social)
      throw fail('VALIDATION_FAILED', `${content.type} belongs to social actions`, { pointer: '/type' })
    return { ...content, ...checkMessages(content) }
  }

  const preview = async (template: TemplateContent, asked: Static<typeof PreviewOf>) => {
    const { variables = {}, locale, externalId } = asked
    const [userId = asked.userId] = externalId === undefined ? [] : await usersOf(pool, [externalId])
    if (externalId !== undefined && userId === undefined) throw fail('USER_NOT_FOUND')
    return previewTemplate(app, template, (await types.current())(template.type), { variables, userId, locale })
  }

  return async (server) => {
    server.get(
      '/admin/templates',
      {
        config: toRead,
        schema: {
          tags: ['admin'],
          summary: 'List the templates of broadcasts',
          description: 'Oldest first.',
          answers: { 200: 'A page of templates in their current version' },
          errors: [...readErrors],
          querystring: PageQuery,
          response: { 200: shownPageOf(Template) },
        },
      },
      async ({ query: { limit = 20, cursor } }) => {
        const [after = '0'] = decodeCursor(cursor, 1) ?? []
        return reader.readPage('templates', [after, limit + 1], limit)
      },
    )

    server.post(
      '/admin/templates',
      {
        config: toWrite,
        schema: {
          tags: ['admin'],
          summary: 'Create a template',
          description:
            'Messages are ICU. A variable that is missing or has the wrong type, or a broken message, is an error here and not at sending.',
          answers: { 201: 'The template, version 1' },
          errors: ['NAME_TAKEN', 'BAD_TEMPLATE'],
          headers: IdempotencyHeader,
          body: NewTemplate,
          response: { 201: Template },
        },
      },
      async (request, reply) => {
        const lookup = await types.current()
        return answerOnce(pool, request, reply, 201, async (trx) => {
          const created = await createTemplate(trx, check(toContent(request.body), lookup))
          if (!created) throw fail('NAME_TAKEN')
          await audited(trx, request, {
            action: 'template.create',
            target: `template:${created.id}`,
            after: request.body,
          })
          return toAnswer(created)
        })
      },
    )

    server.get(
      '/admin/templates/:id',
      {
        config: toRead,
        schema: {
          tags: ['admin'],
          summary: 'Get a template',
          description: 'The current version. Broadcasts keep the version they were written with.',
          answers: { 200: 'The template' },
          errors: ['TEMPLATE_NOT_FOUND', ...readErrors],
          params: OneTemplate,
          response: { 200: shown(Template) },
        },
      },
      ({ params }) => reader.readOne('template', [params.id], 'TEMPLATE_NOT_FOUND'),
    )

    server.patch(
      '/admin/templates/:id',
      {
        config: toWrite,
        schema: {
          tags: ['admin'],
          summary: 'Save a new version of a template',
          description: 'Only the sent properties change. Checked like a new template.',
          answers: { 200: 'The template in its new version' },
          errors: ['TEMPLATE_NOT_FOUND', 'NAME_TAKEN', 'BAD_TEMPLATE'],
          params: OneTemplate,
          body: Change,
          response: { 200: Template },
        },
      },
      async (request) => {
        const lookup = await types.current()
        return inTransaction(pool, async (trx) => {
          const { params, body } = request
          const before = required(await findTemplate(trx, params.id, { lock: true }))
          if (!(await updateTemplate(trx, before, check({ ...before, ...body }, lookup)))) throw fail('NAME_TAKEN')
          await audited(trx, request, {
            action: 'template.update',
            target: `template:${params.id}`,
            before: formerOf(before, body),
            after: body,
          })
          return toAnswer(required(await findTemplate(trx, params.id)))
        })
      },
    )

    server.delete(
      '/admin/templates/:id',
      {
        config: toWrite,
        schema: {
          tags: ['admin'],
          summary: 'Delete a template',
          description: 'Broadcasts that were written with it keep their content.',
          answers: { 204: 'The template is deleted' },
          errors: ['TEMPLATE_NOT_FOUND'],
          params: OneTemplate,
          response: { 204: Type.Null() },
        },
      },
      async (request, reply) => {
        const { params } = request
        await inTransaction(pool, async (trx) => {
          const before = toAnswer(required(await findTemplate(trx, params.id, { lock: true })))
          await audited(trx, request, { action: 'template.delete', target: `template:${params.id}`, before })
          await deleteTemplate(trx, params.id)
        })
        return reply.code(204).send(null)
      },
    )

    server.post(
      '/admin/templates/:id/preview',
      {
        config: toRead,
        schema: {
          tags: ['admin'],
          summary: 'Preview a template on every channel, as a user would see it',
          description:
            'Renders the notification, the mail and the push. With a user: in their language, with the decisions of their preferences now. Sends nothing.',
          answers: { 200: 'The rendered channels' },
          errors: ['TEMPLATE_NOT_FOUND', 'USER_NOT_FOUND', 'BAD_TEMPLATE'],
          headers: IdempotencyHeader,
          params: OneTemplate,
          body: PreviewOf,
          response: { 200: Preview },
        },
      },
      (request, reply) =>
        answerReadOnce(pool, request, reply, async () =>
          preview(required(await findTemplate(pool, request.params.id)), request.body),
        ),
    )

    server.post(
      '/admin/templates/preview',
      {
        // An editor asks at each pause of typing.
        config: { ...toRead, rateLimit: 'user' },
        schema: {
          tags: ['admin'],
          summary: 'Preview a template that is not saved',
          description: 'Like the preview of a saved one, for an editor: `template` is checked, rendered and not kept.',
          answers: { 200: 'The rendered channels' },
          errors: ['USER_NOT_FOUND', 'BAD_TEMPLATE'],
          headers: IdempotencyHeader,
          body: PreviewOfText,
          response: { 200: Preview },
        },
      },
      (request, reply) =>
        answerReadOnce(pool, request, reply, async () =>
          preview(check(toContent({ name: '', ...request.body.template }), await types.current()), request.body),
        ),
    )
  }
}

function required(template: Stored | undefined): Stored {
  if (!template) throw fail('TEMPLATE_NOT_FOUND')
  return template
}

function toContent(given: Static<typeof NewTemplate>): TemplateContent {
  return { type: 'system', body: null, url: null, variables: {}, translations: {}, ...given }
}

function toAnswer({ createdAt, updatedAt, ...template }: Stored): Static<typeof Template> {
  return { ...template, createdAt: createdAt.toISOString(), updatedAt: updatedAt.toISOString() }
}
