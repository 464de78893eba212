import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import type { FastifyRequest } from 'fastify'
import type pg from 'pg'
import type { App } from '../app.ts'
import { fail } from '../errors.ts'
import { answerOnce, answerReadOnce, IdempotencyHeader } from '../http/idempotency.ts'
import { includesRole } from '../http/identity.ts'
import { decodeCursor, PageQuery } from '../http/paging.ts'
import { readErrors, shown, shownPageOf } from '../http/shown-sql/reader.ts'
import { audited } from '../notify/audit/audited.ts'
import type { Consumer } from '../notify/outbox/consume.ts'
import type { TypeLookup } from '../notify/types/types.ts'
import { Id } from '../protocol/id.ts'
import { DryRun, dryRun } from './dry-run.ts'

const Nullable = Type.Union([Type.String(), Type.Null()])
const DeadLetter = Type.Object({
  id: Id,
  consumer: Type.String(),
  eventId: Type.String(),
  recipientId: Nullable,
  sourceId: Nullable,
  type: Nullable,
  attempts: Type.Integer(),
  cause: Type.String({ description: 'The class of the error and the form of its message' }),
  lastError: Nullable,
  createdAt: Type.String({ format: 'date-time' }),
  deadAt: Type.String({ format: 'date-time' }),
  event: Type.Unknown({ description: 'The event; its data, which is what people wrote, only when revealed' }),
})
const Reveal = Type.Optional(
  Type.Boolean({ description: 'Shows the data of the events to operators and admins, and leaves an audit row' }),
)

const toRead = { role: 'reader' } as const
const toRepair = { role: 'operator' } as const
const Params = Type.Object({ id: Id })
const closed = { additionalProperties: false }
const Cause = Type.String({ maxLength: 400, description: 'As listed by GET /admin/dead-letters/causes' })
const time = Type.String({ format: 'date-time' })
const ByCause = Type.Object({
  cause: Cause,
  count: Type.Integer(),
  upTo: Type.Unsafe<string>({ ...Id, description: 'The newest of them, for POST /admin/dead-letters/replay' }),
  oldestAt: time,
  newestAt: time,
  anError: Nullable,
})

/**
 * Events whose last attempt failed. An operator inspects them and retries them once the cause is fixed. A dry run gets the
 * types beforehand, because reading them takes a second connection.
 */
export function deadLetterRoutes(
  { pool, reader, types, wakeUps }: App,
  consumersWith: (types: TypeLookup) => Record<string, Consumer>,
): FastifyPluginAsyncTypebox {
  return async (server) => {
    /** Nothing is revealed that the audit log does not show. @throws {AppError} FORBIDDEN */
    const auditReveal = async (request: FastifyRequest, target: string | null, after?: unknown) => {
      if (!includesRole(request.user.role, 'operator')) throw fail('FORBIDDEN')
      await audited(pool, request, { action: 'dead_letter.reveal', target, after })
    }

    server.get(
      '/admin/dead-letters',
      {
        config: toRead,
        schema: {
          tags: ['admin'],
          summary: 'List dead letters',
          description: 'Events that failed in every attempt. Latest first. What people wrote needs `reveal`.',
          answers: { 200: 'A page of dead letters' },
          errors: [...readErrors],
          querystring: Type.Object({ ...PageQuery.properties, cause: Type.Optional(Cause), reveal: Reveal }, closed),
          response: { 200: shownPageOf(DeadLetter) },
        },
      },
      async (request) => {
        const { limit = 20, cursor, cause, reveal = false } = request.query
        if (reveal) await auditReveal(request, null, { cause })
        const [before = null] = decodeCursor(cursor, 1) ?? []
        return reader.readPage('dead-letters', [before, limit + 1, cause ?? null, null, reveal], limit)
      },
    )

    server.get(
      '/admin/dead-letters/causes',
      {
        config: toRead,
        schema: {
          tags: ['admin'],
          summary: 'Count the dead letters by cause',
          description: 'Groups errors that differ only in their values. The most frequent first.',
          answers: { 200: 'The causes with their numbers' },
          errors: [...readErrors],
          querystring: PageQuery,
          response: { 200: shownPageOf(ByCause) },
        },
      },
      async ({ query: { limit = 20, cursor } }) => {
        const after = decodeCursor(cursor, 2) ?? [null, null]
        return reader.readPage('dead-letter-causes', [...after, limit + 1], limit, ({ count, upTo }) => [
          Number(count),
          String(upTo),
        ])
      },
    )

    server.post(
      '/admin/dead-letters/replay',
      {
        config: toRepair,
        schema: {
          tags: ['admin'],
          summary: 'Replay all dead letters up to an id, or those of one cause',
          description:
            'Takes those up to the id `upTo`, so that failures since then stay. Idempotent: each is replayed once.',
          answers: { 202: 'How many are queued again' },
          headers: IdempotencyHeader,
          body: Type.Object(
            {
              cause: Type.Optional(Cause),
              upTo: Type.Unsafe<string>({ ...Id, description: 'The newest one that was seen: later ones stay' }),
            },
            closed,
          ),
          response: { 202: Type.Object({ replayed: Type.Integer() }) },
        },
      },
      async (request, reply) => {
        const { cause, upTo } = request.body
        const answer = await answerOnce(pool, request, reply, 202, async (trx) => {
          const replayed = await replay(trx, `id <= $1::bigint and ($2::text is null or ${causeOf} = $2)`, [
            upTo,
            cause ?? null,
          ])
          await audited(trx, request, { action: 'dead_letter.replay', target: null, after: { cause, upTo, replayed } })
          return { replayed }
        })
        wakeUps.eventsAppended()
        return answer
      },
    )

    server.post(
      '/admin/dead-letters/:id/dry-run',
      {
        config: toRepair,
        schema: {
          tags: ['admin'],
          summary: 'Show what a replay of a dead letter would do now',
          description: 'Runs the event in a transaction that is rolled back, so nothing changes.',
          answers: { 200: 'What would change in the inbox' },
          errors: ['DEAD_LETTER_NOT_FOUND'],
          headers: IdempotencyHeader,
          params: Params,
          response: { 200: DryRun },
        },
      },
      (request, reply) =>
        answerReadOnce(pool, request, reply, async () =>
          dryRun(pool, consumersWith(await types.current()), request.params.id),
        ),
    )

    server.get(
      '/admin/dead-letters/:id',
      {
        config: toRead,
        schema: {
          tags: ['admin'],
          summary: 'Get a dead letter and its last error',
          description: 'With the last error and the event, whose data needs `reveal`.',
          answers: { 200: 'The dead letter' },
          errors: ['DEAD_LETTER_NOT_FOUND', ...readErrors],
          params: Params,
          querystring: Type.Object({ reveal: Reveal }, closed),
          response: { 200: shown(DeadLetter) },
        },
      },
      async (request) => {
        const { id } = request.params
        const { reveal = false } = request.query
        if (reveal) await auditReveal(request, `dead_letter:${id}`)
        return reader.readOne('dead-letters', [null, 1, null, id, reveal], 'DEAD_LETTER_NOT_FOUND')
      },
    )

    server.post(
      '/admin/dead-letters/:id/replay',
      {
        config: toRepair,
        schema: {
          tags: ['admin'],
          summary: 'Replay a dead letter',
          description: 'Queues the event again; it notifies nobody twice.',
          answers: { 202: 'Whether it is queued' },
          errors: ['DEAD_LETTER_NOT_FOUND'],
          headers: IdempotencyHeader,
          params: Params,
          response: { 202: Type.Object({ replayed: Type.Boolean() }) },
        },
      },
      async (request, reply) => {
        const answer = await answerOnce(pool, request, reply, 202, async (trx) => {
          const { id } = request.params
          const { rows } = await trx.query<{ attempts: number; deadAt: Date }>(
            'select attempts, dead_at as "deadAt" from notify.pending where id = $1 and dead_at is not null for update',
            [id],
          )
          if (!rows[0]) throw fail('DEAD_LETTER_NOT_FOUND')
          await replay(trx, 'id = $1::bigint', [id])
          const change = { before: rows[0], after: { attempts: 0, deadAt: null } }
          await audited(trx, request, { action: 'dead_letter.replay', target: `dead_letter:${id}`, ...change })
          return { replayed: true }
        })
        wakeUps.eventsAppended()
        return answer
      },
    )
  }
}

const causeOf = 'notify.cause_of(error_class, last_error)'

/** Makes dead letters pending again, as if they had never been tried; returns their number. */
async function replay(trx: pg.ClientBase, which: string, values: unknown[]): Promise<number> {
  const { rowCount } = await trx.query(
    `update notify.pending set dead_at = null, attempts = 0, due_at = now() where dead_at is not null and ${which}`,
    values,
  )
  return rowCount ?? 0
}
