import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { type Static, Type } from '@sinclair/typebox'
import type pg from 'pg'
import type { App } from '../app.ts'
import { inTransaction } from '../db/transaction.ts'
import { fail } from '../errors.ts'
import { includesRole } from '../http/identity.ts'
import { decodeCursor, encodeCursor, PageQuery } from '../http/paging.ts'
import { readErrors, Sql } from '../http/shown-sql/reader.ts'
import { audited } from '../notify/audit/audited.ts'
import { Id } from '../protocol/id.ts'
import { textOrNull } from '../protocol/nullable.ts'

const time = Type.String({ format: 'date-time' })

const Step = Type.Object({
  at: time,
  step: Type.String({
    description:
      'sent, event, decision, created, grew, stored, pushed, acknowledged, filtered, read, archived, removed, email or webPush',
  }),
  detail: textOrNull(
    'Who sent it: a service, a user or a database role; action and type of an event; decision and rule; state of a message',
  ),
  eventId: textOrNull('The event in the log'),
  sourceId: textOrNull('Its name, which holds the ids of the row: like:<post>:<user>'),
  requestId: textOrNull('The request that wrote it'),
  modseq: textOrNull('State of the inbox: of the change, of the frame, of the acknowledgement'),
  sessions: Type.Union([Type.Array(Type.String()), Type.Null()], {
    description: 'Sign-in sessions whose sockets were sent the frame',
  }),
})
const Content = Type.Object({
  title: textOrNull('As sent; null: rendered from the type'),
  body: textOrNull('As sent; null: rendered from the type'),
  url: textOrNull('As sent; null: rendered from the type'),
  data: Type.Unknown(),
})
const Trace = Type.Object({
  userId: Id,
  notificationId: Id,
  steps: Type.Array(Step),
  sql: Sql,
  content: Type.Union([Content, Type.Null()], { description: 'Null unless revealed' }),
})
const TracedEvent = Type.Object({
  eventId: Id,
  at: time,
  action: Type.String(),
  retracts: Type.Boolean(),
  type: textOrNull('Type of the notification'),
  sourceId: Type.String(),
  actorId: textOrNull('Who acted'),
  recipientId: textOrNull('Null: nobody is notified'),
  decision: textOrNull('Null: not decided yet, or no recipient'),
  decidedBy: textOrNull('The rule that decided'),
  notificationId: textOrNull('For GET /admin/trace/{userId}/{notificationId}'),
})
const Found = Type.Object({
  events: Type.Array(TracedEvent),
  looked: Type.Object({
    events: Type.Integer({ description: 'Events looked at, newest first' }),
    backTo: Type.Union([time, Type.Null()]),
  }),
  nextCursor: textOrNull('Cursor for events further back in the log; null: there are no more'),
  sql: Sql,
})

/**
 * Maximum number of events that one call examines. The log has no index by request, because each like would have to
 * maintain it.
 */
const LOOKED_AT = 50_000

/** Follows one notification from its request to the acknowledgement. */
export function traceRoutes({ pool, reader }: App): FastifyPluginAsyncTypebox {
  return async (server) => {
    server.get(
      '/admin/trace/:userId/:notificationId',
      {
        config: { role: 'reader' },
        schema: {
          tags: ['admin'],
          summary: 'Trace a notification from its request to the acknowledgement',
          description:
            'The request, events, decisions, states, frames, acknowledgements and messages behind a notification, in order. Content only with `reveal`, which the audit log shows.',
          answers: { 200: 'The steps' },
          errors: ['NOTIFICATION_NOT_FOUND', ...readErrors],
          params: Type.Object({ userId: Id, notificationId: Id }),
          querystring: Type.Object(
            {
              reveal: Type.Optional(
                Type.Boolean({ description: 'Shows the content to operators and admins, and leaves an audit row' }),
              ),
            },
            { additionalProperties: false },
          ),
          response: { 200: Trace },
        },
      },
      async (request) => {
        const { userId, notificationId } = request.params
        const reveal = request.query.reveal === true
        if (reveal && !includesRole(request.user.role, 'operator')) throw fail('FORBIDDEN')
        const { rows, sql } = await reader.read('trace', [userId, notificationId])
        if (rows.length === 0) throw fail('NOTIFICATION_NOT_FOUND')
        const steps = rows as Static<typeof Step>[]
        if (!reveal) return { userId, notificationId, steps, sql, content: null }
        const content = await inTransaction(pool, async (trx) => {
          const target = `notification:${userId}:${notificationId}`
          await audited(trx, request, { action: 'notification.reveal', target })
          return readContent(trx, userId, notificationId)
        })
        return { userId, notificationId, steps, sql, content }
      },
    )

    server.get(
      '/admin/trace',
      {
        config: { role: 'reader' },
        schema: {
          tags: ['admin'],
          summary: 'Find the events that a request wrote',
          description: 'Looks for the `x-request-id` of an answer in the log as far back as it reaches.',
          answers: { 200: 'The events, and how far back the log reaches' },
          errors: [...readErrors],
          querystring: Type.Object(
            { requestId: Type.String({ minLength: 1, maxLength: 200 }), cursor: PageQuery.properties.cursor },
            { additionalProperties: false },
          ),
          response: { 200: Found },
        },
      },
      async ({ query: { requestId, cursor } }) => {
        const [before] = decodeCursor(cursor, 1) ?? []
        const { rows, sql } = await reader.read('trace-request', [requestId, before ?? null, LOOKED_AT])
        const { events, count, backTo, last } = rows[0] as Looked
        return {
          events: events.map((event) => ({ ...event, at: new Date(event.at).toISOString() })),
          looked: { events: count, backTo },
          nextCursor: count === LOOKED_AT && last !== null ? encodeCursor([last]) : null,
          sql,
        }
      },
    )
  }
}

type Content = { title: string | null; body: string | null; url: string | null; data: unknown }

async function readContent(trx: pg.ClientBase, userId: string, notificationId: string): Promise<Content | null> {
  const { rows } = await trx.query<Content>(
    'select title, body, url, data from notify.notifications where user_id = $1::bigint and id = $2::bigint',
    [userId, notificationId],
  )
  return rows[0] ?? null
}

type Looked = { events: Static<typeof TracedEvent>[]; count: number; backTo: string | null; last: string | null }
