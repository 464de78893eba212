import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { type Static, Type } from '@sinclair/typebox'
import type pg from 'pg'
import type { App } from '../../app.ts'
import { HELD } from '../../db/coalescer.ts'
import { inTransaction } from '../../db/transaction.ts'
import { fail } from '../../errors.ts'
import { answerOnce, IdempotencyHeader } from '../../http/idempotency.ts'
import { Reauthentication } from '../../http/identity.ts'
import { audited } from '../../notify/audit/audited.ts'
import { send } from '../../notify/sends/send.ts'
import { ExternalId, Id } from '../../protocol/id.ts'
import { deviceOf, Tokens, tokens } from '../accounts/routes.ts'
import { startSession } from '../accounts/sign-in.ts'
import { busy, insertComment, whenFree } from '../comments/write.ts'
import { findIdOf } from '../external-users/read.ts'
import { followBatch } from '../follows/write.ts'
import { likeBatch } from '../likes/write.ts'
import { getPost, requireUser } from '../posts/read.ts'
import { gatherCrowd, twoDevices } from './crowd.ts'
import { readSimulation, Simulation } from './gathering.ts'
import { countEverybody, removeDemoUsers, removeEverything } from './remove.ts'

const closed = { additionalProperties: false }
const OneId = Type.Object({ id: Id })
const From = Type.Unsafe<'mixed' | 'followers' | 'strangers'>({
  type: 'string',
  enum: ['mixed', 'followers', 'strangers'],
  default: 'mixed',
})
const Simulate = Type.Object(
  {
    likes: Type.Optional(Type.Integer({ minimum: 0, maximum: 15, default: 0 })),
    comments: Type.Optional(Type.Integer({ minimum: 0, maximum: 10, default: 0 })),
    follows: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 10, default: 0, description: 'Strangers who begin to follow' }),
    ),
    from: Type.Optional(From),
  },
  closed,
)
const Notify = Type.Object(
  {
    userId: Type.Optional(Id),
    externalId: Type.Optional(ExternalId),
    kind: Type.Unsafe<'critical' | 'send'>({ type: 'string', enum: ['critical', 'send'] }),
  },
  { ...closed, description: 'Exactly one of userId and externalId' },
)
const CONFIRMATION = 'delete all data'
const Confirm = Type.Object({ confirm: Type.Literal(CONFIRMATION), ...Reauthentication }, closed)
const Removed = Type.Object({ removed: Type.Integer({ description: 'Accounts' }) })
const Sent = Type.Object({ sendId: Id })
const Devices = Type.Object({ devices: Type.Array(Tokens) })

/**
 * Calls that exist only with DEMO=true. Simulated users use the same code as requests, and everything after that is
 * real.
 */
export function demoRoutes(app: App): FastifyPluginAsyncTypebox {
  return async (server) => {
    server.get(
      '/demo/posts/:id/simulate',
      {
        schema: {
          tags: ['demo'],
          summary: 'Read how likes and comments of a post are gathered',
          description: 'The settings of both types, and what the author of the post has and waits for.',
          answers: { 200: 'Settings and state of the groups' },
          errors: ['POST_NOT_FOUND'],
          params: OneId,
          response: { 200: Simulation },
        },
      },
      async ({ params, user }) => {
        const { author } = await getPost(app.pool, user.userId, params.id)
        return readSimulation(app.pool, await app.types.current(), { id: params.id, authorId: author.id }, user.userId)
      },
    )

    server.post(
      '/demo/posts/:id/simulate',
      {
        schema: {
          tags: ['demo'],
          summary: 'Let simulated users like a post, comment on it, and follow its author',
          description:
            'Real likes, comments and follows by users made for it. `followers` and the author of the post follow each other, `strangers` do not, and `mixed` takes both.',
          answers: { 200: 'Settings and state of the groups right after it' },
          errors: ['POST_NOT_FOUND'],
          headers: IdempotencyHeader,
          params: OneId,
          body: Simulate,
          response: { 200: Simulation },
        },
      },
      async (request, reply) => {
        const { params, user } = request
        const { author } = await getPost(app.pool, user.userId, params.id)
        const post = { id: params.id, authorId: author.id }
        // Before the transaction, because reading the types takes a connection.
        const types = await app.types.current()
        return whenFree(() =>
          answerOnce(app.pool, request, reply, 200, async (trx) => {
            await simulate(trx, post, request.body, request.id)
            return readSimulation(trx, types, post, user.userId)
          }),
        ).finally(() => app.wakeUps.eventsAppended())
      },
    )

    server.delete(
      '/demo/simulated-users',
      {
        schema: {
          tags: ['demo'],
          summary: 'Remove the simulated users',
          description: 'With everything they did and caused, notifications of others included.',
          answers: { 200: 'Number of removed users' },
          response: { 200: Removed },
        },
      },
      async () => ({ removed: await removeDemoUsers(app, 'crowd') }),
    )

    server.post(
      '/demo/notify',
      {
        schema: {
          tags: ['demo'],
          summary: 'Send a test notification to a user',
          description: '`critical` ignores quiet hours and other preferences, `send` does not.',
          answers: { 202: 'The notification follows' },
          errors: ['USER_NOT_FOUND'],
          headers: IdempotencyHeader,
          body: Notify,
          response: { 202: Sent },
        },
      },
      async (request, reply) => {
        const { kind, externalId } = request.body
        if ((request.body.userId === undefined) === (externalId === undefined))
          throw fail('VALIDATION_FAILED', 'Exactly one of userId and externalId', { pointer: '/userId' })
        const userId = externalId === undefined ? request.body.userId : await findIdOf(app.db, externalId)
        if (userId === undefined) throw fail('USER_NOT_FOUND')
        const callerId = request.user.userId
        await requireUser(app.pool, userId, callerId)
        return answerOnce(app.pool, request, reply, 202, async (trx) => {
          const what = { recipientIds: [userId], ...messages[kind] }
          const { sendId } = await send(trx, `user:${callerId}`, request.id, what)
          return { sendId }
        }).finally(() => app.wakeUps.eventsAppended())
      },
    )

    server.post(
      '/demo/devices',
      {
        config: { public: true },
        schema: {
          tags: ['demo'],
          summary: 'Sign in two ready-made users',
          description: 'For two windows side by side. Creates the users on the first call.',
          answers: { 200: 'Tokens of both users' },
          response: { 200: Devices },
        },
      },
      async (request, reply) => {
        const ids = await twoDevices(app, request.id)
        app.wakeUps.eventsAppended()
        const devices = []
        for (const id of ids) {
          const session = await startSession(app, { userId: id, passwordHash: null }, deviceOf(request))
          if (!session) throw fail('USER_NOT_FOUND')
          devices.push(await tokens(app, reply, session))
        }
        return { devices }
      },
    )

    server.delete(
      '/demo/data',
      {
        config: { role: 'admin', reauthenticates: true },
        schema: {
          tags: ['demo'],
          summary: 'Remove all data',
          description: `Removes every account but those of staff, with all they did. \`confirm\` is "${CONFIRMATION}".`,
          answers: { 200: 'Number of removed accounts' },
          body: Confirm,
          response: { 200: Removed },
        },
      },
      async (request) => {
        await inTransaction(app.pool, async (trx) => {
          const before = { accounts: await countEverybody(trx) }
          await audited(trx, request, { action: 'demo.clear', target: null, before, after: { accounts: 0 } })
        })
        return { removed: await removeEverything(app) }
      },
    )
  }
}

/** @throws {AppError} POST_NOT_FOUND; BUSY when another transaction holds the post */
async function simulate(
  trx: pg.ClientBase,
  post: { id: string; authorId: string },
  { likes = 0, comments = 0, follows = 0, from = 'mixed' }: Static<typeof Simulate>,
  requestId: string,
): Promise<void> {
  const crowd = await gatherCrowd(trx, post, Math.max(likes, comments), from, requestId)
  const outcomes = await likeBatch(
    trx,
    crowd.slice(0, likes).map((userId) => ({ postId: post.id, userId, requestId })),
  )
  if (outcomes.includes(HELD)) throw busy()
  for (const [place, userId] of crowd.slice(0, comments).entries()) {
    const comment = { postId: post.id, parentId: null, body: sentences[place % sentences.length] ?? '' }
    await insertComment(trx, { userId, requestId }, comment)
  }
  const strangers = await gatherCrowd(trx, post, follows, 'strangers', requestId)
  const followed = await followBatch(
    trx,
    strangers.map((followerId) => ({ followerId, followeeId: post.authorId, requestId })),
  )
  if (followed.includes(HELD)) throw busy()
}

const messages = {
  critical: {
    type: 'security.alert',
    title: 'New sign-in from Lisbon',
    message: 'Was this you? Check your sessions.',
    url: '/settings/sessions',
    priority: 'critical',
    severity: 'error',
  },
  send: {
    title: 'Hello from Ravenpost',
    message: 'This message took the same way as any other: log, dispatch, inbox, push.',
    url: '/notifications',
    severity: 'info',
  },
} as const

const sentences = [
  'I was there an hour ago, and could not see my own hands.',
  'Bring a lantern.',
  'The gulls do that here, they are lazy.',
  'Beautiful. Where exactly is this?',
  'The nine o’clock ferry waits for the fog, the eight o’clock one does not.',
  'My grandmother would say: rain by noon.',
  'Saved this for later.',
  'It was just as thick last Tuesday.',
  'Can you see the lighthouse from there?',
  'Good morning to you too.',
]
