import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { type Static, Type } from '@sinclair/typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type pg from 'pg'
import type { App } from '../../app.ts'
import { fail } from '../../errors.ts'
import { answerOnce, type Caller, callerOf, IdempotencyHeader, idempotencyKeyOf } from '../../http/idempotency.ts'
import type { Scope } from '../../http/identity.ts'
import { ExternalId, Id } from '../../protocol/id.ts'
import { Priority, Severity } from '../../protocol/notification.ts'
import { audited } from '../audit/audited.ts'
import { Progress, readProgress } from './progress.ts'
import { type NewSend, type Sent, send } from './send.ts'

/** Maximum number of recipients: one transaction can write them without delaying others. */
const MAX_RECIPIENTS = 10_000
/** Maximum size of a body: fits that many external ids of the maximum length. */
const BATCH_BODY_LIMIT = 3 * 1024 * 1024
/** Maximum lifetime of a notification: ten years, in seconds. */
const MAX_EXPIRES_IN = 315_360_000

const words = {
  type: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 100,
      default: 'system',
      description: '`system`, or a name of your own with a dot, such as `shop.paid`',
    }),
  ),
  title: Type.String({ minLength: 1, maxLength: 200 }),
  message: Type.String({ maxLength: 2000, description: '`body` of the notification' }),
  url: Type.Optional(Type.String({ minLength: 1, maxLength: 2000, description: 'http(s) or relative URL' })),
  data: Type.Optional(Type.Record(Type.String(), Type.Unknown(), { description: 'At most 8 KiB as JSON' })),
  priority: Type.Optional(Priority),
  severity: Type.Optional(Severity),
  actorId: Type.Optional(Id),
  actorExternalId: Type.Optional(ExternalId),
  groupKey: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 150,
      description: 'Sends of one type and key are one notification until it is read; comes back as `<type>:<groupKey>`',
      examples: ['order:77'],
    }),
  ),
  sourceId: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 150,
      description: 'Your id of the event: the same one notifies a user once',
    }),
  ),
  expiresIn: Type.Optional(Type.Integer({ minimum: 1, maximum: MAX_EXPIRES_IN, description: 'Seconds' })),
}
const ToOne = Type.Object(
  { recipientId: Type.Optional(Id), externalId: Type.Optional(ExternalId), ...words },
  { additionalProperties: false, description: 'Exactly one of recipientId and externalId' },
)
const ToMany = Type.Object(
  {
    recipientIds: Type.Optional(Type.Array(Id, { minItems: 1, maxItems: MAX_RECIPIENTS })),
    externalIds: Type.Optional(Type.Array(ExternalId, { minItems: 1, maxItems: MAX_RECIPIENTS })),
    ...words,
  },
  { additionalProperties: false, description: `recipientIds, externalIds or both, at most ${MAX_RECIPIENTS} in total` },
)
const SentAnswer = Type.Object({
  sendId: Id,
  total: Type.Integer({ description: 'Distinct recipients of the request' }),
  accepted: Type.Integer({ description: 'Have an inbox and did not have this source' }),
  duplicates: Type.Integer({ description: 'Had this source before' }),
})
const OneSend = Type.Object({ sendId: Id })

const config = { service: 'notifications:send' } as const

/** Sends by admins and services. */
export function sendRoutes(app: App): FastifyPluginAsyncTypebox {
  return async (server) => {
    server.post(
      '/notifications/send',
      {
        config,
        schema: {
          tags: ['services'],
          summary: 'Send a notification to one user',
          description:
            'An `Idempotency-Key` is required. The same `sourceId` of one sender notifies a user once. Social types are refused.',
          answers: { 202: 'The send' },
          errors: ['USER_NOT_FOUND', 'IDEMPOTENCY_KEY_REQUIRED'],
          headers: IdempotencyHeader,
          body: ToOne,
          response: { 202: SentAnswer },
        },
      },
      (request, reply) => {
        return answerSend(app, request, reply, toOne(request.body), sendToOne)
      },
    )

    server.post(
      '/notifications/send/batch',
      {
        config,
        bodyLimit: BATCH_BODY_LIMIT,
        schema: {
          tags: ['services'],
          summary: 'Send a notification to a list of users',
          description:
            'As `/notifications/send`, to at most 10,000 recipients in one transaction. Recipients without an inbox are left out of `accepted`.',
          answers: { 202: 'The send' },
          errors: ['IDEMPOTENCY_KEY_REQUIRED'],
          headers: IdempotencyHeader,
          body: ToMany,
          response: { 202: SentAnswer },
        },
      },
      (request, reply) => answerSend(app, request, reply, toMany(request.body), send),
    )

    server.get(
      '/notifications/sends/:sendId',
      {
        config: { ...config, role: 'reader' },
        schema: {
          tags: ['services'],
          summary: 'Get the progress of a send',
          description: 'Counts recipients. A service sees its own sends only.',
          answers: { 200: 'The progress' },
          errors: ['SEND_NOT_FOUND'],
          params: OneSend,
          response: { 200: Progress },
        },
      },
      async (request) => {
        const progress = await readProgress(app.pool, request.params.sendId, request.service ? callerOf(request) : null)
        if (!progress) throw fail('SEND_NOT_FOUND')
        return progress
      },
    )
  }
}

/** @throws {AppError} VALIDATION_FAILED */
function toOne({ recipientId, externalId, ...rest }: Static<typeof ToOne>): NewSend {
  if (recipientId !== undefined && externalId !== undefined)
    throw fail('VALIDATION_FAILED', 'Send either recipientId or externalId, not both', {
      pointer: '/externalId',
    })
  if (recipientId !== undefined) return { recipientIds: [recipientId], ...rest }
  if (externalId !== undefined) return { externalIds: [externalId], ...rest }
  throw fail('VALIDATION_FAILED', 'Send recipientId or externalId', { pointer: '/recipientId' })
}

/** @throws {AppError} VALIDATION_FAILED */
function toMany(body: Static<typeof ToMany>): NewSend {
  const named = (body.recipientIds?.length ?? 0) + (body.externalIds?.length ?? 0)
  if (named === 0) throw fail('VALIDATION_FAILED', 'Send recipientIds or externalIds', { pointer: '/recipientIds' })
  if (named > MAX_RECIPIENTS)
    throw fail(
      'VALIDATION_FAILED',
      `recipientIds and externalIds together must not have more than ${MAX_RECIPIENTS} items`,
      {
        pointer: '/externalIds',
      },
    )
  return body
}

const CRITICAL: Scope = 'notifications:critical'

/** The priority of the type can be higher than the requested one, also by its priority for followed actors. */
async function mayBeCritical(pool: pg.Pool, { type = 'system', priority }: NewSend): Promise<boolean> {
  if (priority === 'critical') return true
  const { rows } = await pool.query<{ critical: boolean }>({
    name: 'type_may_be_critical',
    text: `select 'critical' in (priority, coalesce(followed_priority, priority)) as critical
           from notify.types where type in ($1, 'system') order by type = $1 desc limit 1`,
    values: [type],
  })
  return rows[0]?.critical ?? false
}

/** A send to one unknown user fails; a send to many only counts unknown users. */
async function sendToOne(trx: pg.ClientBase, caller: Caller, requestId: string, what: NewSend): Promise<Sent> {
  const sent = await send(trx, caller, requestId, what)
  if (sent.accepted + sent.duplicates === 0) throw fail('USER_NOT_FOUND')
  return sent
}

/** The key is required, so that a retry after a lost response does not notify twice. */
async function answerSend(
  app: App,
  request: FastifyRequest,
  reply: FastifyReply,
  what: NewSend,
  write: typeof send,
): Promise<Sent> {
  if (idempotencyKeyOf(request) === undefined)
    throw fail('IDEMPOTENCY_KEY_REQUIRED', 'Use a new Idempotency-Key for each send, and the same key to retry it')
  const caller = callerOf(request)
  if (request.service && !request.service.scopes.includes(CRITICAL) && (await mayBeCritical(app.pool, what)))
    throw fail('FORBIDDEN', `Critical notifications override preferences and require the scope ${CRITICAL}`)
  try {
    return await answerOnce(app.pool, request, reply, 202, async (trx) => {
      const sent = await write(trx, caller, request.id, what)
      if (!request.service) await auditSend(trx, request, what, sent)
      return sent
    })
  } finally {
    app.wakeUps.eventsAppended()
  }
}

/** More recipients than this are only counted in the audit row; notify.sends lists them. */
const MOST_NAMED = 100

/** For sends by admins. Omits the texts, which may be about a person and are removed with the notification. */
async function auditSend(trx: pg.ClientBase, request: FastifyRequest, what: NewSend, sent: Sent): Promise<void> {
  const { title: _, message: __, url: ___, data: ____, recipientIds = [], externalIds = [], ...rest } = what
  const isNamed = recipientIds.length + externalIds.length <= MOST_NAMED
  const after = { ...rest, ...(isNamed && { recipientIds, externalIds }), ...sent }
  await audited(trx, request, { action: 'notification.send', target: `send:${sent.sendId}`, after })
}
