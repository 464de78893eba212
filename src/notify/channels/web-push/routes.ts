import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import type { App } from '../../../app.ts'
import { fail } from '../../../errors.ts'
import { answerOnce, IdempotencyHeader } from '../../../http/idempotency.ts'
import { pageOf } from '../../../http/paging.ts'
import { Id } from '../../../protocol/id.ts'
import { translateBusy } from '../../inbox/lock.ts'
import { listBrowsers, subscribe, unsubscribe } from './subscriptions.ts'

const closed = { additionalProperties: false }
const SubscriptionId = Type.String({
  pattern: '^[\\w-]{22}$',
  description: 'First 22 characters of the SHA-256 of the endpoint in base64url',
})

const Browser = Type.Object({
  id: SubscriptionId,
  host: Type.String({ description: 'Host of the push service' }),
  createdAt: Type.String({ format: 'date-time' }),
  sessionId: Id,
  current: Type.Boolean({ description: 'Whether it belongs to the session of this request' }),
})
const Subscribed = Type.Object({ id: SubscriptionId })

/**
 * The result of `PushSubscription.toJSON()`: an uncompressed P-256 point of 65 bytes and a secret of 16, in base64url.
 */
const PushSubscription = Type.Object(
  {
    endpoint: Type.String({
      maxLength: 2000,
      pattern: '^https://',
      description: 'URL of the push service for this browser',
      examples: ['https://push.example.org/send/k3J9xQ2mZ7pL0aV5bN8cRw'],
    }),
    expirationTime: Type.Optional(Type.Unsafe<number | null>({ type: ['number', 'null'] })),
    keys: Type.Object(
      { p256dh: Type.String({ pattern: '^[\\w-]{87}=?$' }), auth: Type.String({ pattern: '^[\\w-]{22}(==)?$' }) },
      closed,
    ),
  },
  closed,
)

export function pushRoutes({ pool, config }: App): FastifyPluginAsyncTypebox {
  const keys = () => {
    if (!config.vapid)
      throw fail('PUSH_NOT_CONFIGURED', 'The operator must set VAPID_PUBLIC_KEY, VAPID_PRIVATE_KEY and VAPID_SUBJECT')
    return config.vapid
  }
  return async (server) => {
    server.get(
      '/push/vapid-public-key',
      {
        config: { public: true },
        schema: {
          tags: ['notifications'],
          summary: 'Get the public key for web push subscriptions',
          description:
            'Pass it as `applicationServerKey` to `pushManager.subscribe`. 404 when the operator has not configured Web Push.',
          answers: { 200: 'The key in base64url' },
          errors: ['PUSH_NOT_CONFIGURED'],
          response: { 200: Type.Object({ publicKey: Type.String() }) },
        },
      },
      async () => ({ publicKey: keys().publicKey }),
    )

    server.post(
      '/push/subscriptions',
      {
        schema: {
          tags: ['notifications'],
          summary: 'Subscribe a browser to web push',
          description:
            'Takes what `PushSubscription.toJSON()` returns. A browser belongs to the user who subscribed last; the subscription ends with the session.',
          answers: { 201: 'The id of the subscription' },
          errors: ['BAD_ENDPOINT', 'PUSH_NOT_CONFIGURED', 'INBOX_BUSY'],
          headers: IdempotencyHeader,
          body: PushSubscription,
          response: { 201: Subscribed },
        },
      },
      async (request, reply) => {
        keys()
        const { user } = request
        return answerOnce(pool, request, reply, 201, async (trx) => ({
          id: await subscribe(trx, user, request.body, config.pushHosts),
        })).catch(translateBusy)
      },
    )

    // Lists the user's browsers, which all fit on one page.
    server.get(
      '/push/subscriptions',
      {
        schema: {
          tags: ['notifications'],
          summary: 'List my web push subscriptions',
          description: 'Only the host of each endpoint is shown.',
          answers: { 200: 'A page of subscriptions, latest first' },
          response: { 200: pageOf(Browser) },
        },
      },
      async ({ user }) => ({
        items: await listBrowsers(pool, user),
        nextCursor: null,
      }),
    )

    server.delete(
      '/push/subscriptions/:id',
      {
        schema: {
          tags: ['notifications'],
          summary: 'Delete a web push subscription',
          description: 'Call it when the user turns pushes off in this browser.',
          answers: { 204: 'The subscription is deleted' },
          errors: ['SUBSCRIPTION_NOT_FOUND'],
          params: Type.Object({ id: SubscriptionId }),
          response: { 204: Type.Null() },
        },
      },
      async ({ user, params }, reply) => {
        if (!(await unsubscribe(pool, user.userId, params.id))) throw fail('SUBSCRIPTION_NOT_FOUND')
        return reply.code(204).send(null)
      },
    )
  }
}
