import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { type Static, Type } from '@sinclair/typebox'
import type { App } from '../../app.ts'
import { inTransaction } from '../../db/transaction.ts'
import { fail } from '../../errors.ts'
import { answerOnce, answerReadOnce, IdempotencyHeader } from '../../http/idempotency.ts'
import { decodeCursor, PageQuery } from '../../http/paging.ts'
import { readErrors, shownPageOf } from '../../http/shown-sql/reader.ts'
import { audited } from '../../notify/audit/audited.ts'
import type { Audience } from '../../notify/broadcasts/audience.ts'
import { Id } from '../../protocol/id.ts'
import { textOrNull } from '../../protocol/nullable.ts'
import { Estimate, estimate } from './audience.ts'
import { checkRule, type Rule, RuleSchema } from './rule.ts'
import { checkSql } from './sql.ts'
import {
  createSegment,
  deleteSegment,
  findSegment,
  type SegmentContent,
  type Segment as Stored,
  updateSegment,
} from './store.ts'

const closed = { additionalProperties: false }
const name = Type.String({ minLength: 1, maxLength: 100, examples: ['Germans'] })
export const Sql = Type.String({
  minLength: 1,
  maxLength: 10_000,
  description: 'A select of user ids. It runs as ravenpost_readonly, read only, with a time limit',
  examples: ["select id from social.users where locale = 'de'"],
})
const set = { rule: Type.Optional(RuleSchema), sql: Type.Optional(Sql) }
const oneOf = 'Exactly one of rule and sql'
const example = { name: 'Germans', rule: { locale: 'de' } }
const NewSegment = Type.Object({ name, ...set }, { ...closed, description: oneOf, examples: [example] })
const Change = Type.Object({ name: Type.Optional(name), ...set }, { ...closed, minProperties: 1, examples: [example] })
const ToEstimate = Type.Object(set, { ...closed, description: oneOf, examples: [{ rule: example.rule }] })
const time = Type.String({ format: 'date-time' })
export const Segment = Type.Object({
  id: Id,
  name,
  rule: Type.Union([RuleSchema, Type.Null()]),
  sql: textOrNull(),
  createdAt: time,
  updatedAt: time,
})
const OneSegment = Type.Object({ id: Id })

const [toRead, toWrite] = [{ role: 'reader' }, { role: 'admin' }] as const

/** Routes of segments: sets of users for broadcasts. */
export function segmentRoutes({ pool, reader, longReads }: App): FastifyPluginAsyncTypebox {
  return async (server) => {
    server.get(
      '/admin/segments',
      {
        config: toRead,
        schema: {
          tags: ['admin'],
          summary: 'List the segments',
          description: 'Oldest first.',
          answers: { 200: 'A page of segments' },
          errors: [...readErrors],
          querystring: PageQuery,
          response: { 200: shownPageOf(Segment) },
        },
      },
      async ({ query: { limit = 20, cursor } }) => {
        const [after = '0'] = decodeCursor(cursor, 1) ?? []
        return reader.readPage('segments', [after, limit + 1], limit)
      },
    )

    server.post(
      '/admin/segments',
      {
        config: toWrite,
        schema: {
          tags: ['admin'],
          summary: 'Create a segment: users by a rule or by SQL',
          description:
            'Takes a rule, or a `select` of user ids that runs as `ravenpost_readonly`, read only, with a time limit. Both are checked before they are stored.',
          answers: { 201: 'The segment' },
          errors: ['NAME_TAKEN'],
          headers: IdempotencyHeader,
          body: NewSegment,
          response: { 201: Segment },
        },
      },
      (request, reply) =>
        answerOnce(pool, request, reply, 201, async (trx) => {
          const created = await createSegment(trx, { name: request.body.name, ...setOf(request.body) })
          if (!created) throw fail('NAME_TAKEN')
          await audited(trx, request, {
            action: 'segment.create',
            target: `segment:${created.id}`,
            after: request.body,
          })
          return toAnswer(created)
        }),
    )

    server.post(
      '/admin/segments/estimate',
      {
        config: { role: 'operator' },
        schema: {
          tags: ['admin'],
          summary: 'Count the users of a rule or of SQL, and show some',
          description:
            "Stores nothing, but the text of a query leaves an audit row. `exact` is false when counting took too long and the planner's estimate is returned.",
          answers: { 200: 'The number of users, some of them, and how long it took' },
          errors: ['BAD_SEGMENT', 'READ_TOO_SLOW'],
          headers: IdempotencyHeader,
          body: ToEstimate,
          response: { 200: Estimate },
        },
      },
      (request, reply) =>
        answerReadOnce(pool, request, reply, () => {
          const audience = audienceOf(setOf(request.body))
          return longReads.run(reply.raw, async (client) => {
            // Before the query runs, which may read private columns.
            if ('sql' in audience)
              await audited(pool, request, { action: 'segment.estimate', target: null, after: request.body })
            return estimate(client, audience, request.user.userId)
          })
        }),
    )

    server.get(
      '/admin/segments/:id',
      {
        config: toRead,
        schema: {
          tags: ['admin'],
          summary: 'Get a segment',
          description: 'The stored rule or query; estimate it to see whom it selects.',
          answers: { 200: 'The segment' },
          errors: ['SEGMENT_NOT_FOUND'],
          params: OneSegment,
          response: { 200: Segment },
        },
      },
      async ({ params }) => toAnswer(required(await findSegment(pool, params.id))),
    )

    server.patch(
      '/admin/segments/:id',
      {
        config: toWrite,
        schema: {
          tags: ['admin'],
          summary: 'Change a segment',
          description: 'Only the sent properties change. Broadcasts that were written with it keep their copy.',
          answers: { 200: 'The changed segment' },
          errors: ['SEGMENT_NOT_FOUND', 'NAME_TAKEN'],
          params: OneSegment,
          body: Change,
          response: { 200: Segment },
        },
      },
      (request) =>
        inTransaction(pool, async (trx) => {
          const { params, body } = request
          const before = required(await findSegment(trx, params.id, { lock: true }))
          const changed = body.rule || body.sql ? setOf(body) : before
          const now = await updateSegment(trx, params.id, {
            name: body.name ?? before.name,
            rule: changed.rule,
            sql: changed.sql,
          })
          if (!now) throw fail('NAME_TAKEN')
          const { name, rule, sql } = before
          await audited(trx, request, {
            action: 'segment.update',
            target: `segment:${params.id}`,
            before: { name, rule, sql },
            after: body,
          })
          return toAnswer(now)
        }),
    )

    server.delete(
      '/admin/segments/:id',
      {
        config: toWrite,
        schema: {
          tags: ['admin'],
          summary: 'Delete a segment',
          description: 'Broadcasts that were written with it keep their copy.',
          answers: { 204: 'The segment is deleted' },
          errors: ['SEGMENT_NOT_FOUND'],
          params: OneSegment,
          response: { 204: Type.Null() },
        },
      },
      async (request, reply) => {
        const { params } = request
        await inTransaction(pool, async (trx) => {
          const { name, rule, sql } = required(await findSegment(trx, params.id, { lock: true }))
          await audited(trx, request, {
            action: 'segment.delete',
            target: `segment:${params.id}`,
            before: { name, rule, sql },
          })
          await deleteSegment(trx, params.id)
        })
        return reply.code(204).send(null)
      },
    )
  }
}

/** @throws {AppError} VALIDATION_FAILED */
function setOf({ rule, sql }: { rule?: unknown; sql?: string | undefined }): Pick<SegmentContent, 'rule' | 'sql'> {
  if ((rule === undefined) === (sql === undefined)) throw fail('VALIDATION_FAILED', oneOf, { pointer: '/rule' })
  return sql === undefined ? { rule: checkRule(rule), sql: null } : { rule: null, sql: checkSql(sql) }
}

export function audienceOf({ rule, sql }: Pick<SegmentContent, 'rule' | 'sql'>): Audience<Rule> {
  if (rule !== null) return { rule }
  return { sql: sql ?? '' }
}

function required(segment: Stored | undefined): Stored {
  if (!segment) throw fail('SEGMENT_NOT_FOUND')
  return segment
}

function toAnswer({ createdAt, updatedAt, ...segment }: Stored): Static<typeof Segment> {
  return { ...segment, createdAt: createdAt.toISOString(), updatedAt: updatedAt.toISOString() }
}
