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
      { schema: { tags: ['posts'], summary: 'Mute a post', errors: ['POST_NOT_FOUND'], ...schema } },
      async ({ params, user }, reply) => {
        await muteThread(app, user.userId, params.id)
        return reply.code(204).send(null)
      },
    )

    server.delete(
      '/posts/:id/mute',
      { schema: { tags: ['posts'], summary: 'Unmute a post', errors: ['POST_NOT_FOUND'], ...schema } },
      async ({ params, user }, reply) => {
        await unmuteThread(app, user.userId, params.id)
        return reply.code(204).send(null)
      },
    )
  }
}

/** @throws {AppError} USER_NOT_FOUND, CANNOT_SILENCE_SELF */
async function someoneElse(app: App, userId: string, otherId: string): Promise<string> {
  if (userId === otherId) throw fail('CANNOT_SILENCE_SELF')
  if (!(await findUser(app.pool, otherId, userId))) throw fail('USER_NOT_FOUND')
  return otherId
}
