import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import type { App } from '../../app.ts'
import { inTransaction } from '../../db/transaction.ts'
import { answerOnce, IdempotencyHeader } from '../../http/idempotency.ts'
import { cutPage, decodeCursor, PageQuery, pageOf } from '../../http/paging.ts'
import { Id } from '../../protocol/id.ts'
import { textOrNull, timeOrNull } from '../../protocol/nullable.ts'
import { audited, formerOf } from '../audit/audited.ts'
import { deliveryStates, listDeliveries, queueTest, recoverDeliveries, retryDelivery } from './deliveries.ts'
import { requireEndpoint } from './endpoint.ts'
import { webhookEvents } from './events.ts'
import { createWebhook, deleteWebhook, getWebhook, listWebhooks, rotateSecret, updateWebhook } from './store.ts'

const closed = { additionalProperties: false }
const time = Type.String({ format: 'date-time' })

const url = Type.String({
  minLength: 1,
  maxLength: 2000,
  pattern: '^https?://[^\\s\\\\]+$',
  examples: ['https://example.org/hooks'],
  description: 'https; http and private addresses only for hosts in WEBHOOK_HOSTS',
})
const event = Type.Unsafe<(typeof webhookEvents)[number]>({ type: 'string', enum: [...webhookEvents] })
const events = Type.Array(event, { minItems: 1, maxItems: webhookEvents.length, uniqueItems: true })
const description = textOrNull(undefined, { maxLength: 200 })

const NewWebhook = Type.Object({ url, events, description: Type.Optional(description) }, closed)
const Change = Type.Object(
  {
    url: Type.Optional(url),
    events: Type.Optional(events),
    description: Type.Optional(description),
    enabled: Type.Optional(Type.Boolean({ description: 'true resets failures and sends waiting messages' })),
  },
  closed,
)
const Secret = Type.String({ examples: ['whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD'], description: 'Shown once' })
export const Webhook = Type.Object({
  id: Id,
  url: Type.String({ examples: url.examples }),
  events,
  description: textOrNull(),
  enabled: Type.Boolean(),
  disabledAt: timeOrNull(),
  disabledBecause: Type.Unsafe<'byHand' | 'gone' | 'failing' | null>({
    type: ['string', 'null'],
    enum: ['byHand', 'gone', 'failing', null],
    description: 'gone: the endpoint answered 410; failing: it accepted no message for three days',
  }),
  failingSince: timeOrNull(),
  pausedUntil: timeOrNull(),
  lastError: textOrNull(),
  createdAt: time,
  updatedAt: time,
})
export const Delivery = Type.Object({
  id: Id,
  messageId: Type.String({ description: 'Value of the header webhook-id, the same in every attempt' }),
  event: Type.String({ examples: ['notification.created'], description: 'One of the events, or webhook.test' }),
  userId: textOrNull('Recipient of the notification; null: about none'),
  notificationId: textOrNull('Null: about none'),
  state: Type.Unsafe<(typeof deliveryStates)[number]>({
    type: 'string',
    enum: [...deliveryStates],
    description: 'sent: the endpoint answered 2xx; failed: no more attempts',
  }),
  attempts: Type.Integer(),
  status: Type.Unsafe<number | null>({ type: ['integer', 'null'], description: 'HTTP status of the last answer' }),
  lastError: textOrNull(),
  dueAt: timeOrNull('Time of the next attempt; null: none'),
  createdAt: time,
  updatedAt: time,
})
const OneWebhook = Type.Object({ id: Id })
const OneDelivery = Type.Object({ id: Id, deliveryId: Id })

const config = { service: 'webhooks' } as const
const toRead = { ...config, role: 'reader' } as const
const toRepair = { ...config, role: 'operator' } as const

/** Webhooks of applications (Standard Webhooks 1.0.0), for admins and services. */
export function webhookRoutes({ pool, config: { webhookHosts } }: App): FastifyPluginAsyncTypebox {
  return async (server) => {
    server.post(
      '/webhooks',
      {
        config,
        schema: {
          tags: ['services'],
          summary: 'Create a webhook; the answer shows its secret once',
          description:
            'Messages follow Standard Webhooks 1.0.0: verify `webhook-signature` with the secret. At least once, with the same `webhook-id` on every attempt.',
          answers: { 201: 'The id and the secret, which no other answer shows' },
          errors: ['WEBHOOK_URL_REFUSED', 'TOO_MANY_WEBHOOKS'],
          body: NewWebhook,
          response: { 201: Type.Object({ id: Id, secret: Secret }) },
        },
      },
      async (request, reply) => {
        const { body } = request
        requireEndpoint(body.url, webhookHosts)
        const made = await inTransaction(pool, async (trx) => {
          const created = await createWebhook(trx, body)
          const target = `webhook:${created.id}`
          await audited(trx, request, { action: 'webhook.create', target, after: withoutPath(body) })
          return created
        })
        return reply.code(201).send(made)
      },
    )

    server.get(
      '/webhooks',
      {
        config: toRead,
        schema: {
          tags: ['services'],
          summary: 'List the webhooks',
          description: 'Latest first, without secrets.',
          answers: { 200: 'A page of webhooks' },
          querystring: PageQuery,
          response: { 200: pageOf(Webhook) },
        },
      },
      async ({ query: { limit = 20, cursor } }) => {
        const [before = null] = decodeCursor(cursor, 1) ?? []
        return cutPage(await listWebhooks(pool, before, limit + 1), limit, (last) => [last.id])
      },
    )

    server.get(
      '/webhooks/:id',
      {
        config: toRead,
        schema: {
          tags: ['services'],
          summary: 'Get a webhook',
          description: 'With its state: why it is disabled, or how long it fails.',
          answers: { 200: 'The webhook' },
          errors: ['WEBHOOK_NOT_FOUND'],
          params: OneWebhook,
          response: { 200: Webhook },
        },
      },
      ({ params }) => getWebhook(pool, params.id),
    )

    server.patch(
      '/webhooks/:id',
      {
        config,
        schema: {
          tags: ['services'],
          summary: 'Change, disable or enable a webhook',
          description: 'Only the sent properties change. `enabled: true` starts a disabled one again.',
          answers: { 200: 'The changed webhook' },
          errors: ['WEBHOOK_NOT_FOUND', 'WEBHOOK_URL_REFUSED'],
          params: OneWebhook,
          body: Change,
          response: { 200: Webhook },
        },
      },
      async (request) => {
        const {
          params: { id },
          body,
        } = request
        if (body.url !== undefined) requireEndpoint(body.url, webhookHosts)
        return inTransaction(pool, async (trx) => {
          const before = withoutPath(formerOf(await getWebhook(trx, id), body))
          const changed = await updateWebhook(trx, id, body)
          await audited(trx, request, {
            action: 'webhook.change',
            target: `webhook:${id}`,
            before,
            after: withoutPath(body),
          })
          return changed
        })
      },
    )

    server.delete(
      '/webhooks/:id',
      {
        config,
        schema: {
          tags: ['services'],
          summary: 'Delete a webhook and its waiting messages',
          description: 'Messages that wait are not sent.',
          answers: { 204: 'The webhook is deleted' },
          errors: ['WEBHOOK_NOT_FOUND'],
          params: OneWebhook,
          response: { 204: Type.Null() },
        },
      },
      async (request, reply) => {
        const { id } = request.params
        await inTransaction(pool, async (trx) => {
          const { url, events, description } = await getWebhook(trx, id)
          await deleteWebhook(trx, id)
          const before = withoutPath({ url, events, description })
          await audited(trx, request, { action: 'webhook.delete', target: `webhook:${id}`, before })
        })
        return reply.code(204).send(null)
      },
    )

    server.post(
      '/webhooks/:id/rotate-secret',
      {
        config,
        schema: {
          tags: ['services'],
          summary: 'Create a new secret; the old one also signs for 24 hours',
          description: 'For 24 hours, messages carry a signature of each secret.',
          answers: { 200: 'The new secret, which no other answer shows' },
          errors: ['WEBHOOK_NOT_FOUND'],
          params: OneWebhook,
          response: { 200: Type.Object({ secret: Secret }) },
        },
      },
      (request) =>
        inTransaction(pool, async (trx) => {
          const { id } = request.params
          const secret = await rotateSecret(trx, id)
          await audited(trx, request, { action: 'webhook.rotate_secret', target: `webhook:${id}` })
          return { secret }
        }),
    )

    server.post(
      '/webhooks/:id/test',
      {
        config,
        schema: {
          tags: ['services'],
          summary: 'Send a test message',
          description: 'Queues a `webhook.test` message to this webhook only.',
          answers: { 202: 'The id of the message in the deliveries' },
          errors: ['WEBHOOK_NOT_FOUND', 'WEBHOOK_DISABLED'],
          headers: IdempotencyHeader,
          params: OneWebhook,
          response: { 202: Type.Object({ deliveryId: Id }) },
        },
      },
      (request, reply) =>
        answerOnce(pool, request, reply, 202, async (trx) => {
          const { id } = request.params
          const queued = await queueTest(trx, id)
          await audited(trx, request, { action: 'webhook.test', target: `webhook:${id}`, after: queued })
          return queued
        }),
    )

    server.get(
      '/webhooks/:id/deliveries',
      {
        config: toRead,
        schema: {
          tags: ['services'],
          summary: 'List the messages of a webhook',
          description: 'Latest first, with the state and the last error of each.',
          answers: { 200: 'A page of messages' },
          errors: ['WEBHOOK_NOT_FOUND'],
          params: OneWebhook,
          querystring: PageQuery,
          response: { 200: pageOf(Delivery) },
        },
      },
      async ({ params, query: { limit = 20, cursor } }) => {
        const [before = null] = decodeCursor(cursor, 1) ?? []
        const deliveries = await listDeliveries(pool, params.id, before, limit + 1)
        return cutPage(deliveries, limit, (last) => [last.id])
      },
    )

    server.post(
      '/webhooks/:id/deliveries/:deliveryId/retry',
      {
        config: toRepair,
        schema: {
          tags: ['services'],
          summary: 'Retry a message with the same webhook-id',
          description: 'Also for messages that were delivered or given up.',
          answers: { 202: 'The message, queued again' },
          errors: ['WEBHOOK_NOT_FOUND', 'WEBHOOK_DELIVERY_NOT_FOUND', 'WEBHOOK_DISABLED'],
          headers: IdempotencyHeader,
          params: OneDelivery,
          response: { 202: Delivery },
        },
      },
      (request, reply) => {
        const { id, deliveryId } = request.params
        return answerOnce(pool, request, reply, 202, async (trx) => {
          const delivery = await retryDelivery(trx, id, deliveryId)
          await audited(trx, request, { action: 'webhook.retry', target: `webhook:${id}`, after: { deliveryId } })
          return delivery
        })
      },
    )

    server.post(
      '/webhooks/:id/recover',
      {
        config: toRepair,
        schema: {
          tags: ['services'],
          summary: 'Retry all messages that failed since a time',
          description: 'For the time after an outage of the receiver, with the same ids as before.',
          answers: { 200: 'How many are queued again' },
          errors: ['WEBHOOK_NOT_FOUND', 'WEBHOOK_DISABLED'],
          params: OneWebhook,
          body: Type.Object({ since: time }, closed),
          response: { 200: Type.Object({ recovered: Type.Integer() }) },
        },
      },
      async (request) => {
        const {
          params: { id },
          body: { since },
        } = request
        const recovered = await recoverDeliveries(pool, id, new Date(since), (trx) =>
          audited(trx, request, { action: 'webhook.recover', target: `webhook:${id}`, after: { since } }),
        )
        return { recovered }
      },
    )
  }
}

/** The path of an endpoint may be a secret of the receiver. */
function withoutPath<T extends { url?: string | undefined }>({ url, ...rest }: T) {
  return { ...(url !== undefined && { host: new URL(url).origin }), ...rest }
}
