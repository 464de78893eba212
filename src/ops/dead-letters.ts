import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { type Static, Type } from '@sinclair/typebox'
import type pg from 'pg'
import type { App } from '../app.ts'
import { fail } from '../errors.ts'
import { answerOnce, IdempotencyHeader } from '../http/idempotency.ts'
import { cutPage, decodeCursor, PageQuery, pageOf } from '../http/paging.ts'
import { audited } from '../notify/audit/audited.ts'
import type { Consumer } from '../notify/outbox/consume.ts'
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
  event: Type.Unknown(),
})
type DeadLetter = Static<typeof DeadLetter>
type Row = Omit<DeadLetter, 'createdAt' | 'deadAt'> & { createdAt: Date; deadAt: Date }

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

/** Events whose last attempt failed. An operator inspects them and retries them once the cause is fixed. */
export function deadLetterRoutes(
  { pool, wakeUps }: App,
  consumers: Record<string, Consumer>,
): FastifyPluginAsyncTypebox {
  return async (server) => {
    server.get(
      '/admin/dead-letters',
      {
        config: toRead,
        schema: {
          tags: ['admin'],
          summary: 'List dead letters',
          description: 'Events that failed in every attempt. Latest first.',
          answers: { 200: 'A page of dead letters' },
          querystring: Type.Object({ ...PageQuery.properties, cause: Type.Optional(Cause) }, closed),
          response: { 200: pageOf(DeadLetter) },
        },
      },
      async ({ query: { limit = 20, cursor, cause } }) => {
        const [before] = decodeCursor(cursor, 1) ?? []
        const { rows } = await pool.query<Row>(
          `select ${columns} from ops.dead_letters d
           where ($1::bigint is null or d.id < $1::bigint) and ($3::text is null or d.cause = $3)
           order by d.id desc limit $2::int`,
          [before ?? null, limit + 1, cause ?? null],
        )
        const { items, nextCursor } = cutPage(rows, limit, (last) => [last.id])
        return { items: items.map(toDeadLetter), nextCursor }
      },
    )

    server.get(
      '/admin/dead-letters/causes',
      {
        config: toRead,
        schema: {
          tags: ['admin'],
          summary: 'Count the dead letters by cause',
          description: 'Groups errors that differ only in their values.',
          answers: { 200: 'The causes with their numbers' },
          querystring: Type.Object({}, closed),
          response: { 200: Type.Object({ items: Type.Array(ByCause) }) },
        },
      },
      async () => {
        const { rows } = await pool.query<Static<typeof ByCause> & { oldestAt: Date; newestAt: Date }>(countByCause)
        const items = rows.map((row) => ({
          ...row,
          oldestAt: row.oldestAt.toISOString(),
          newestAt: row.newestAt.toISOString(),
        }))
        return { items }
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
      (request, reply) => answerOnce(pool, request, reply, 200, () => dryRun(pool, consumers, request.params.id)),
    )

    server.get(
      '/admin/dead-letters/:id',
      {
        config: toRead,
        schema: {
          tags: ['admin'],
          summary: 'Get a dead letter and its last error',
          description: 'With the event and the last error.',
          answers: { 200: 'The dead letter' },
          errors: ['DEAD_LETTER_NOT_FOUND'],
          params: Params,
          response: { 200: DeadLetter },
        },
      },
      async ({ params }) => {
        const { rows } = await pool.query<Row>(`select ${columns} from ops.dead_letters d where d.id = $1::bigint`, [
          params.id,
        ])
        if (!rows[0]) throw fail('DEAD_LETTER_NOT_FOUND')
        return toDeadLetter(rows[0])
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
          if ((await replay(trx, 'id = $1::bigint', [id])) === 0) throw fail('DEAD_LETTER_NOT_FOUND')
          await audited(trx, request, { action: 'dead_letter.replay', target: `dead_letter:${id}` })
          return { replayed: true }
        })
        wakeUps.eventsAppended()
        return answer
      },
    )
  }
}

const causeOf = 'notify.cause_of(error_class, last_error)'

/** Makes them pending again, from their first attempt; returns how many. */
async function replay(trx: pg.ClientBase, which: string, values: unknown[]): Promise<number> {
  const { rowCount } = await trx.query(
    `update notify.pending set dead_at = null, attempts = 0, due_at = now() where dead_at is not null and ${which}`,
    values,
  )
  return rowCount ?? 0
}

const countByCause = `
  select
    d.cause,
    count(*)::int as count,
    max(d.id)::text as "upTo",
    min(d.dead_at) as "oldestAt",
    max(d.dead_at) as "newestAt",
    max(d.last_error) as "anError"
  from ops.dead_letters d
  group by d.cause
  order by 2 desc, 1
  limit 200`

const columns = `d.id, d.consumer, d.event_id as "eventId", d.recipient_id as "recipientId", d.source_id as "sourceId", d.type,
  d.attempts, d.cause, d.last_error as "lastError", d.created_at as "createdAt", d.dead_at as "deadAt", d.event`

function toDeadLetter(row: Row): DeadLetter {
  return { ...row, createdAt: row.createdAt.toISOString(), deadAt: row.deadAt.toISOString() }
}
