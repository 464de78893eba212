import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { type Static, Type } from '@sinclair/typebox'
import type { App } from '../app.ts'
import { fail } from '../errors.ts'
import { answerOnce, callerOf, IdempotencyHeader } from '../http/idempotency.ts'
import { cutPage, decodeCursor, PageQuery, pageOf } from '../http/paging.ts'
import { audited } from '../notify/audit/audited.ts'
import { Id } from '../protocol/id.ts'

const Nullable = Type.Union([Type.String(), Type.Null()])
const DeadLetter = Type.Object({
  id: Id,
  consumer: Type.String(),
  eventId: Type.String(),
  recipientId: Nullable,
  sourceId: Nullable,
  type: Nullable,
  attempts: Type.Integer(),
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

/** Events whose last attempt failed. An operator inspects them and retries them once the cause is fixed. */
export function deadLetterRoutes({ pool, wakeUps }: App): FastifyPluginAsyncTypebox {
  return async (server) => {
    server.get(
      '/admin/dead-letters',
      {
        config: toRead,
        schema: {
          tags: ['admin'],
          summary: 'List dead letters',
          querystring: PageQuery,
          response: { 200: pageOf(DeadLetter) },
        },
      },
      async ({ query: { limit = 20, cursor } }) => {
        const [before] = decodeCursor(cursor, 1) ?? []
        const { rows } = await pool.query<Row>(
          `select ${columns} from ops.dead_letters d where $1::bigint is null or d.id < $1::bigint order by d.id desc limit $2::int`,
          [before ?? null, limit + 1],
        )
        const { items, nextCursor } = cutPage(rows, limit, (last) => [last.id])
        return { items: items.map(toDeadLetter), nextCursor }
      },
    )

    server.get(
      '/admin/dead-letters/:id',
      {
        config: toRead,
        schema: {
          tags: ['admin'],
          summary: 'Get a dead letter and its last error',
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
          errors: ['DEAD_LETTER_NOT_FOUND'],
          headers: IdempotencyHeader,
          params: Params,
          response: { 202: Type.Object({ replayed: Type.Boolean() }) },
        },
      },
      async (request, reply) => {
        const answer = await answerOnce(pool, request, reply, callerOf(request), 202, async (trx) => {
          const { id } = request.params
          const { rowCount } = await trx.query(
            `update notify.pending set dead_at = null, attempts = 0, due_at = now() where id = $1::bigint and dead_at is not null`,
            [id],
          )
          if (rowCount === 0) throw fail('DEAD_LETTER_NOT_FOUND')
          await audited(trx, request, { action: 'dead_letter.replay', target: `dead_letter:${id}` })
          return { replayed: true }
        })
        wakeUps.eventsAppended()
        return answer
      },
    )
  }
}

const columns = `d.id, d.consumer, d.event_id as "eventId", d.recipient_id as "recipientId", d.source_id as "sourceId", d.type,
  d.attempts, d.last_error as "lastError", d.created_at as "createdAt", d.dead_at as "deadAt", d.event`

function toDeadLetter(row: Row): DeadLetter {
  return { ...row, createdAt: row.createdAt.toISOString(), deadAt: row.deadAt.toISOString() }
}
