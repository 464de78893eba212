import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import type pg from 'pg'
import type { App } from '../app.ts'
import { inTransaction } from '../db/transaction.ts'
import { fail } from '../errors.ts'
import { decodeCursor, encodeCursor, PageQuery } from '../http/paging.ts'
import { audited } from '../notify/audit/audited.ts'
import { Id } from '../protocol/id.ts'
import { textOrNull } from '../protocol/nullable.ts'

const time = Type.String({ format: 'date-time' })

const Step = Type.Object({
  at: time,
  step: Type.String({
    description:
      'event, decision, created, grew, stored, pushed, acknowledged, filtered, read, archived, removed, email or webPush',
  }),
  detail: textOrNull('Action and type of an event; decision and rule; state of a message'),
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
  nextCursor: textOrNull('Looks further back; null: the log has no more'),
})

/** Events that one call looks at. The log has no index by request, which every like would have to pay for. */
const LOOKED_AT = 50_000

/** Follows one notification from its request to the acknowledgement. */
export function traceRoutes({ pool }: App): FastifyPluginAsyncTypebox {
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
          errors: ['NOTIFICATION_NOT_FOUND'],
          params: Type.Object({ userId: Id, notificationId: Id }),
          querystring: Type.Object(
            { reveal: Type.Optional(Type.Boolean({ description: 'Shows the content, and leaves an audit row' })) },
            { additionalProperties: false },
          ),
          response: { 200: Trace },
        },
      },
      async (request) => {
        const { userId, notificationId } = request.params
        const steps = await readSteps(pool, userId, notificationId)
        if (steps.length === 0) throw fail('NOTIFICATION_NOT_FOUND')
        if (!request.query.reveal) return { userId, notificationId, steps, content: null }
        const content = await inTransaction(pool, async (trx) => {
          const target = `notification:${userId}:${notificationId}`
          await audited(trx, request, { action: 'notification.reveal', target })
          return readContent(trx, userId, notificationId)
        })
        return { userId, notificationId, steps, content }
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
          querystring: Type.Object(
            { requestId: Type.String({ minLength: 1, maxLength: 200 }), cursor: PageQuery.properties.cursor },
            { additionalProperties: false },
          ),
          response: { 200: Found },
        },
      },
      async ({ query: { requestId, cursor } }) => {
        const [before] = decodeCursor(cursor, 1) ?? []
        const { rows } = await pool.query<Looked>(findByRequest, [requestId, before ?? null])
        const { events = [], count = 0, backTo = null, last = null } = rows[0] ?? {}
        return {
          events: events.map((event) => ({ ...event, at: new Date(event.at).toISOString() })),
          looked: { events: count, backTo: backTo?.toISOString() ?? null },
          nextCursor: count === LOOKED_AT && last !== null ? encodeCursor([last]) : null,
        }
      },
    )
  }
}

type StepRow = {
  at: Date
  step: string
  detail: string | null
  eventId: string | null
  sourceId: string | null
  requestId: string | null
  modseq: string | null
  sessions: string[] | null
}

async function readSteps(pool: pg.Pool, userId: string, notificationId: string) {
  const { rows } = await pool.query<StepRow>(
    `select t.at, t.step, t.detail, t.event_id as "eventId", t.source_id as "sourceId", t.request_id as "requestId", t.modseq,
       t.sessions::text[] as sessions
     from notify.trace($1, $2) t`,
    [userId, notificationId],
  )
  return rows.map((row) => ({ ...row, at: row.at.toISOString() }))
}

type Content = { title: string | null; body: string | null; url: string | null; data: unknown }

async function readContent(trx: pg.ClientBase, userId: string, notificationId: string): Promise<Content | null> {
  const { rows } = await trx.query<Content>(
    'select title, body, url, data from notify.notifications where user_id = $1::bigint and id = $2::bigint',
    [userId, notificationId],
  )
  return rows[0] ?? null
}

type Event = {
  eventId: string
  at: string
  action: string
  retracts: boolean
  type: string | null
  sourceId: string
  actorId: string | null
  recipientId: string | null
  decision: string | null
  decidedBy: string | null
  notificationId: string | null
}
type Looked = { events: Event[]; count: number; backTo: Date | null; last: string | null }

/** Reads the log backwards by its primary key. */
const findByRequest = `
  with looked as materialized (
    select o.id, o.created_at, o.request_id
    from notify.outbox o
    where o.id < coalesce($2::bigint, 9223372036854775807)
    order by o.id desc
    limit ${LOOKED_AT}
  )
  select
    (select count(*)::int from looked) as count,
    (select min(created_at) from looked) as "backTo",
    (select min(id)::text from looked) as last,
    coalesce((
      select json_agg(json_build_object(
        'eventId', o.id::text,
        'at', o.created_at,
        'action', o.action,
        'retracts', o.retracts,
        'type', o.type,
        'sourceId', o.source_id,
        'actorId', o.actor_id::text,
        'recipientId', o.recipient_id::text,
        'decision', s.decision,
        'decidedBy', s.decided_by,
        'notificationId', s.notification_id::text
      ) order by o.id)
      from (select l.id from looked l where l.request_id = $1 limit 1000) found
      join notify.outbox o on o.id = found.id
      left join notify.sources s on s.user_id = o.recipient_id and s.source_id = o.source_id
    ), '[]') as events`
