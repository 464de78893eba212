import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { type Static, type TUnsafe, Type } from '@sinclair/typebox'
import type pg from 'pg'
import type { App } from '../../app.ts'
import { inTransaction } from '../../db/transaction.ts'
import { answerOnce, answerReadOnce, IdempotencyHeader } from '../../http/idempotency.ts'
import { Reauthentication, type StaffRole } from '../../http/identity.ts'
import { decodeCursor, PageQuery } from '../../http/paging.ts'
import { readErrors, Sql, shownPageOf } from '../../http/shown-sql/reader.ts'
import { streamOf } from '../../http/shown-sql/stream.ts'
import { ExternalId, Id } from '../../protocol/id.ts'
import { textOrNull, timeOrNull } from '../../protocol/nullable.ts'
import { audited } from '../audit/audited.ts'
import { usersOf } from '../sends/send.ts'
import type { TypeLookup } from '../types/types.ts'
import type { Audience, CompileAudience } from './audience.ts'
import { findBroadcast, type Broadcast as Stored, sourceOf, states } from './broadcast.ts'
import { contentOf, type Draft, draftOf, timeOf } from './draft.ts'
import { DryRun, dryRun } from './dry-run.ts'
import { BroadcastProgress, readBroadcastWithProgress } from './progress.ts'
import { Recipient, recipientsAsCsv } from './recipients.ts'
import {
  cancelBroadcast,
  createBroadcast,
  type DraftContent,
  deleteDraft,
  pauseBroadcast,
  recallBroadcast,
  replaceDraft,
  required,
  resumeBroadcast,
  sendBroadcast,
} from './store.ts'
import { sendTest } from './test-send.ts'

const time = Type.String({ format: 'date-time' })
const intOrNull = Type.Unsafe<number | null>({ type: ['integer', 'null'] })

const Shown = {
  id: Id,
  name: Type.String(),
  state: Type.Unsafe<Stored['state']>({ type: 'string', enum: [...states] }),
  templateId: textOrNull(),
  templateVersion: intOrNull,
  segmentId: textOrNull(),
  audience: Type.Record(Type.String(), Type.Unknown(), {
    description: 'everyone, rule or sql: a copy, which later changes of the segment leave alone',
    examples: [{ everyone: true }],
  }),
  content: Type.Object({
    type: Type.String(),
    title: Type.String(),
    body: textOrNull(),
    url: textOrNull(),
    severity: textOrNull(),
    actorId: textOrNull(),
    data: Type.Record(Type.String(), Type.Unknown()),
    translations: Type.Record(Type.String(), Type.Object({ title: Type.String(), body: textOrNull() })),
  }),
  priority: textOrNull(),
  channels: Type.Unsafe<string[] | null>({ type: ['array', 'null'], items: { type: 'string' } }),
  sendAt: textOrNull('Without an offset where timeZone is recipient; null: at once', {
    examples: ['2026-03-29T09:00:00.000Z'],
  }),
  timeZone: Type.Unsafe<'recipient' | null>({ type: ['string', 'null'], enum: ['recipient', null] }),
  perSecond: intOrNull,
  expiresIn: intOrNull,
  lastError: textOrNull('Why it was cancelled by itself'),
  createdBy: Id,
  createdAt: time,
  startedAt: timeOrNull(),
  finishedAt: timeOrNull(),
  recalledAt: timeOrNull(),
  recallFinishedAt: timeOrNull('Null: inboxes are left from which it is retracted'),
}
export const Broadcast = Type.Object(Shown)
export const BroadcastWithProgress = Type.Object({
  ...Shown,
  progress: BroadcastProgress,
  sql: Type.Object({ broadcast: Sql, reached: Sql }),
})

const closed = { additionalProperties: false }
const OneBroadcast = Type.Object({ id: Id })
const someUsers = { minItems: 1, maxItems: 100, uniqueItems: true }
const TestBody = Type.Object(
  { userIds: Type.Optional(Type.Array(Id, someUsers)), externalIds: Type.Optional(Type.Array(ExternalId, someUsers)) },
  { ...closed, minProperties: 1, description: 'userIds, externalIds or both' },
)
const RecipientsQuery = Type.Object(
  {
    ...PageQuery.properties,
    format: Type.Optional(
      Type.Unsafe<'json' | 'csv'>({
        type: 'string',
        enum: ['json', 'csv'],
        description: 'csv: all of them, without pages',
      }),
    ),
  },
  closed,
)

type Config = { role: StaffRole; reauthenticates?: true }
const toRead: Config = { role: 'reader' }
const toOperate: Config = { role: 'operator' }
const toSend: Config = { role: 'admin' }
const toRecall: Config = { role: 'admin', reauthenticates: true }

/** Functions about audiences, which `social` supplies. */
export type Audiences = {
  /** Schema of the outer layer of a rule. */
  rule: TUnsafe<unknown>
  compile: CompileAudience
  /** The error to answer with when the query of an audience fails. */
  faultOf(error: unknown): unknown
  /**
   * Compiles an audience.
   * @throws {AppError} for an invalid rule, or a segment that does not exist
   */
  audienceOf(trx: pg.ClientBase, draft: Draft): Promise<Audience>
}

/** Routes of broadcasts: administrators write, test, send, watch and recall them. */
export function routesOfBroadcasts(
  app: App,
  { rule, compile, faultOf, audienceOf }: Audiences,
): FastifyPluginAsyncTypebox {
  const { pool, reader, longReads, types } = app

  async function read(trx: pg.ClientBase, draft: Draft, lookup: TypeLookup): Promise<DraftContent> {
    const { name, segmentId = null, priority = null, channels = null, perSecond = null, expiresIn = null } = draft
    return {
      ...{ name, segmentId, priority, channels, perSecond, expiresIn },
      ...timeOf(draft),
      ...(await contentOf(trx, lookup, draft)),
      audience: await audienceOf(trx, draft),
    }
  }

  return async (server) => {
    server.get(
      '/admin/broadcasts',
      {
        config: toRead,
        schema: {
          tags: ['admin'],
          summary: 'List the broadcasts, newest first',
          description: 'Without progress; that is in the answer for one broadcast.',
          answers: { 200: 'A page of broadcasts' },
          errors: [...readErrors],
          querystring: PageQuery,
          response: { 200: shownPageOf(Broadcast) },
        },
      },
      async ({ query: { limit = 20, cursor } }) => {
        const [before = null] = decodeCursor(cursor, 1) ?? []
        return reader.readPage('broadcasts', [before, limit + 1], limit)
      },
    )

    server.post(
      '/admin/broadcasts',
      {
        config: toSend,
        schema: {
          tags: ['admin'],
          summary: 'Write a broadcast; nothing is sent before it is sent',
          description:
            'Content from a template or in the body, audience from a segment, a rule or everyone. Both are copied. Nothing is sent before `/send`.',
          answers: { 201: 'The draft' },
          errors: ['TEMPLATE_NOT_FOUND', 'SEGMENT_NOT_FOUND', 'BAD_TEMPLATE'],
          headers: IdempotencyHeader,
          body: draftOf(rule),
          response: { 201: Broadcast },
        },
      },
      async (request, reply) => {
        // Before the transaction, because reading the types takes a connection.
        const lookup = await types.current()
        return answerOnce(pool, request, reply, 201, async (trx) => {
          const draft = await read(trx, request.body as Draft, lookup)
          const created = await createBroadcast(trx, request.user.userId, draft)
          await audited(trx, request, {
            action: 'broadcast.create',
            target: `broadcast:${created.id}`,
            after: request.body,
          })
          return toAnswer(created)
        })
      },
    )

    server.get(
      '/admin/broadcasts/:id',
      {
        config: toRead,
        schema: {
          tags: ['admin'],
          summary: 'Get a broadcast and its progress',
          description: '`progress.countedAt` says when the progress was counted.',
          answers: { 200: 'The broadcast and its progress' },
          errors: ['BROADCAST_NOT_FOUND', ...readErrors],
          params: OneBroadcast,
          response: { 200: BroadcastWithProgress },
        },
      },
      ({ params: { id } }) => readBroadcastWithProgress(app, id) as never,
    )

    server.put(
      '/admin/broadcasts/:id',
      {
        config: toSend,
        schema: {
          tags: ['admin'],
          summary: 'Replace a draft',
          description: 'As if it were written anew: what is left out has its default. Only until it is sent.',
          answers: { 200: 'The changed draft' },
          errors: ['BROADCAST_NOT_FOUND', 'BROADCAST_STATE', 'TEMPLATE_NOT_FOUND', 'SEGMENT_NOT_FOUND', 'BAD_TEMPLATE'],
          params: OneBroadcast,
          body: draftOf(rule),
          response: { 200: Broadcast },
        },
      },
      async (request) => {
        const { id } = request.params
        const lookup = await types.current()
        return inTransaction(pool, async (trx) => {
          const { before, now } = await replaceDraft(trx, id, await read(trx, request.body as Draft, lookup))
          const change = { before: draftPart(before), after: draftPart(now) }
          await audited(trx, request, { action: 'broadcast.update', target: `broadcast:${id}`, ...change })
          return toAnswer(now)
        })
      },
    )

    server.delete(
      '/admin/broadcasts/:id',
      {
        config: toSend,
        schema: {
          tags: ['admin'],
          summary: 'Delete a draft',
          description: 'Only until it is sent.',
          answers: { 204: 'It is deleted' },
          errors: ['BROADCAST_NOT_FOUND', 'BROADCAST_STATE'],
          params: OneBroadcast,
          response: { 204: Type.Null() },
        },
      },
      async (request, reply) => {
        const { id } = request.params
        await inTransaction(pool, async (trx) => {
          const before = draftPart(await deleteDraft(trx, id))
          await audited(trx, request, { action: 'broadcast.delete', target: `broadcast:${id}`, before })
        })
        return reply.code(204).send(null)
      },
    )

    server.get(
      '/admin/broadcasts/:id/recipients',
      {
        config: toRead,
        schema: {
          tags: ['admin'],
          summary: 'List the recipients about whom it was decided, by user',
          description:
            'One row for each decided recipient: what was decided and by which rule, deliveries, read time. `format=csv` streams all.',
          answers: { 200: 'A page of recipients, or CSV' },
          errors: ['BROADCAST_NOT_FOUND', ...readErrors],
          params: OneBroadcast,
          querystring: RecipientsQuery,
          response: { 200: shownPageOf(Recipient) },
        },
      },
      async ({ params: { id }, query: { limit = 20, cursor, format } }, reply) => {
        required(await findBroadcast(pool, id))
        if (format === 'csv') {
          const rows = await streamOf(recipientsAsCsv(reader, id))
          return reply
            .type('text/csv; charset=utf-8')
            .header('content-disposition', `attachment; filename="broadcast-${id}.csv"`)
            .send(rows as never)
        }
        const [after = '0'] = decodeCursor(cursor, 1) ?? []
        return reader.readPage('broadcast-recipients', [sourceOf({ id }), after, limit + 1], limit, (last) => [
          String(last.userId),
        ])
      },
    )

    server.post(
      '/admin/broadcasts/:id/dry-run',
      {
        config: toRead,
        schema: {
          tags: ['admin'],
          summary: 'What would happen if it were sent now, in one snapshot',
          description: 'Decides for the whole audience in one snapshot and writes nothing.',
          answers: { 200: 'How many would be shown, silent, filtered or suppressed, and by which rule' },
          errors: ['BROADCAST_NOT_FOUND', 'BAD_SEGMENT', 'READ_TOO_SLOW'],
          headers: IdempotencyHeader,
          params: OneBroadcast,
          response: { 200: DryRun },
        },
      },
      (request, reply) =>
        answerReadOnce(pool, request, reply, async () => {
          const broadcast = required(await findBroadcast(pool, request.params.id))
          const known = await types.current()
          return longReads
            .run(reply.raw, (client) => dryRun(client, compile, known, broadcast))
            .catch((error) => {
              throw faultOf(error)
            })
        }),
    )

    server.post(
      '/admin/broadcasts/:id/test',
      {
        config: toSend,
        schema: {
          tags: ['admin'],
          summary: 'Send the content to some users at once',
          description: 'Sends the content as a notification of its own, each time anew. Does not change the broadcast.',
          answers: { 202: 'How many of the users have an inbox' },
          errors: ['BROADCAST_NOT_FOUND'],
          headers: IdempotencyHeader,
          params: OneBroadcast,
          body: TestBody,
          response: { 202: Type.Object({ accepted: Type.Integer() }) },
        },
      },
      async (request, reply) => {
        try {
          return await answerOnce(pool, request, reply, 202, async (trx) => {
            const broadcast = required(await findBroadcast(trx, request.params.id))
            await audited(trx, request, {
              action: 'broadcast.test',
              target: `broadcast:${broadcast.id}`,
              after: request.body,
            })
            const { userIds = [], externalIds = [] } = request.body
            const users = [...userIds, ...(await usersOf(trx, externalIds))]
            return { accepted: await sendTest(trx, broadcast, users, request.id) }
          })
        } finally {
          app.wakeUps.eventsAppended()
        }
      },
    )

    const changes = [
      {
        name: 'send',
        config: toSend,
        summary: 'Send a draft now, or at its time',
        description: 'Only a draft. Waits for `sendAt` if there is one.',
        answers: { 200: 'The broadcast, now scheduled' },
        change: sendBroadcast,
      },
      {
        name: 'pause',
        config: toOperate,
        summary: 'Pause after the chunks under way',
        description: 'Only while it is running. Takes effect within a chunk.',
        answers: { 200: 'The paused broadcast' },
        change: pauseBroadcast,
      },
      {
        name: 'resume',
        config: toOperate,
        summary: 'Resume where it was paused',
        description: 'Continues after the last recipient; nobody is notified twice.',
        answers: { 200: 'The broadcast, running again' },
        change: resumeBroadcast,
      },
      {
        name: 'cancel',
        config: toOperate,
        summary: 'Send to nobody else; what was sent stays',
        description: 'For good. What was sent stays in the inboxes; recall removes that.',
        answers: { 200: 'The cancelled broadcast' },
        change: cancelBroadcast,
      },
      {
        name: 'recall',
        config: toRecall,
        body: Type.Object(Reauthentication, closed),
        summary: 'Retract it from every inbox, and cancel mails and pushes that were not sent',
        description:
          'Runs in the background; `recallFinishedAt` says when it is complete. What is read is removed too.',
        answers: { 200: 'The broadcast, now being recalled' },
        change: recallBroadcast,
      },
    ]
    for (const { name, config, change, body, ...described } of changes)
      server.post(
        `/admin/broadcasts/:id/${name}`,
        {
          config,
          schema: {
            tags: ['admin'],
            ...described,
            errors: ['BROADCAST_NOT_FOUND', 'BROADCAST_STATE'],
            headers: IdempotencyHeader,
            params: OneBroadcast,
            ...(body && { body }),
            response: { 200: Broadcast },
          },
        },
        (request, reply) =>
          answerOnce(pool, request, reply, 200, async (trx) => {
            const { id } = request.params
            const before = required(await findBroadcast(trx, id, { lock: true }))
            const now = await change(trx, id, request.id)
            const states = { before: { state: before.state }, after: { state: now.state } }
            await audited(trx, request, { action: `broadcast.${name}`, target: `broadcast:${id}`, ...states })
            return toAnswer(now)
          }),
      )
  }
}

function toAnswer({ eventId: _, requestId: __, sendAt, wallTime, ...broadcast }: Stored): Static<typeof Broadcast> {
  const { createdAt, startedAt, finishedAt, recalledAt, recallFinishedAt } = broadcast
  return {
    ...broadcast,
    audience: broadcast.audience as Record<string, unknown>,
    sendAt: wallTime ?? timeText(sendAt),
    timeZone: wallTime === null ? null : 'recipient',
    createdAt: createdAt.toISOString(),
    startedAt: timeText(startedAt),
    finishedAt: timeText(finishedAt),
    recalledAt: timeText(recalledAt),
    recallFinishedAt: timeText(recallFinishedAt),
  }
}

/** What an audit row shows of a draft. */
function draftPart(broadcast: Stored) {
  const { name, templateId, templateVersion, segmentId, audience, content, priority, channels } = toAnswer(broadcast)
  const { sendAt, timeZone, perSecond, expiresIn } = toAnswer(broadcast)
  const words = { name, templateId, templateVersion, segmentId, audience, content }
  return { ...words, priority, channels, sendAt, timeZone, perSecond, expiresIn }
}

const timeText = (time: Date | null) => (time ? time.toISOString() : null)
