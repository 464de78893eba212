import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import type { App } from '../../app.ts'
import { fail } from '../../errors.ts'
import { Id } from '../../protocol/id.ts'
import { findUser } from '../users/view.ts'
import { block, mute, muteThread, unblock, unmute, unmuteThread } from './write.ts'

const schema = { params: Type.Object({ id: Id }), response: { 204: Type.Null() } }
const YEAR = 366 * 86_400
const Mute = Type.Object(
  {
    seconds: Type.Optional(
      Type.Integer({ minimum: 1, maximum: YEAR, description: 'Duration of the mute; absent: until unmuted' }),
    ),
  },
  { additionalProperties: false },
)

/** Blocks, mutes of users and mutes of threads. All calls are idempotent. */
export function silenceRoutes(app: App): FastifyPluginAsyncTypebox {
  return async (server) => {
    server.put(
      '/users/:id/block',
      {
        schema: {
          tags: ['users'],
          summary: 'Block a user',
          description:
            'Idempotent. Ends follows in both directions, hides both users from each other, and removes the notifications each has of the other.',
          answers: { 204: 'The user is blocked' },
          errors: ['USER_NOT_FOUND', 'CANNOT_SILENCE_SELF', 'INBOX_BUSY'],
          ...schema,
        },
      },
      async ({ params, user, id: requestId }, reply) => {
        const otherId = await someoneElse(app, user.userId, params.id)
        await block(app, { userId: user.userId, otherId, requestId })
        return reply.code(204).send(null)
      },
    )

    server.delete(
      '/users/:id/block',
      {
        schema: {
          tags: ['users'],
          summary: 'Unblock a user',
          description: 'Idempotent. Follows and notifications do not come back.',
          answers: { 204: 'The user is not blocked' },
          errors: ['USER_NOT_FOUND', 'CANNOT_SILENCE_SELF'],
          ...schema,
        },
      },
      async ({ params, user }, reply) => {
        await unblock(app, user.userId, await someoneElse(app, user.userId, params.id))
        return reply.code(204).send(null)
      },
    )

    server.put(
      '/users/:id/mute',
      {
        schema: {
          tags: ['users'],
          summary: 'Mute a user',
          description:
            'Idempotent. The user notifies the caller of nothing, for `seconds` or until unmuted, and does not learn of it.',
          answers: { 204: 'The user is muted' },
          errors: ['USER_NOT_FOUND', 'CANNOT_SILENCE_SELF'],
          ...schema,
          body: Mute,
        },
      },
      async ({ params, user, body }, reply) => {
        await mute(app, user.userId, await someoneElse(app, user.userId, params.id), body.seconds ?? null)
        return reply.code(204).send(null)
      },
    )

    server.delete(
      '/users/:id/mute',
      {
        schema: {
          tags: ['users'],
          summary: 'Unmute a user',
          description: 'Idempotent.',
          answers: { 204: 'The user is not muted' },
          errors: ['USER_NOT_FOUND', 'CANNOT_SILENCE_SELF'],
          ...schema,
        },
      },
      async ({ params, user }, reply) => {
        await unmute(app, user.userId, await someoneElse(app, user.userId, params.id))
        return reply.code(204).send(null)
      },
    )

    server.put(
      '/posts/:id/mute',
      {
        schema: {
          tags: ['posts'],
          summary: 'Mute a post',
          description: 'Idempotent. Nothing about the post or its comments notifies the caller any more.',
          answers: { 204: 'The post is muted' },
          errors: ['POST_NOT_FOUND'],
          ...schema,
        },
      },
      async ({ params, user }, reply) => {
        await muteThread(app, user.userId, params.id)
        return reply.code(204).send(null)
      },
    )

    server.delete(
      '/posts/:id/mute',
      {
        schema: {
          tags: ['posts'],
          summary: 'Unmute a post',
          description: 'Idempotent.',
          answers: { 204: 'The post is not muted' },
          errors: ['POST_NOT_FOUND'],
          ...schema,
        },
      },
      async ({ params, user }, reply) => {
        await unmuteThread(app, user.userId, params.id)
        return reply.code(204).send(null)
      },
    )
  }
}

/**
 * Checks that the user may block or mute the other one.
 * @throws {AppError} USER_NOT_FOUND, CANNOT_SILENCE_SELF
 */
async function someoneElse(app: App, userId: string, otherId: string): Promise<string> {
  if (userId === otherId) throw fail('CANNOT_SILENCE_SELF')
  if (!(await findUser(app.pool, otherId, userId))) throw fail('USER_NOT_FOUND')
  return otherId
}
