import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import type { App } from '../../app.ts'
import { Coalescer } from '../../db/coalescer.ts'
import { fail } from '../../errors.ts'
import { Id } from '../../protocol/id.ts'
import { type FollowRequest, followBatch, unfollowBatch } from './write.ts'

const config = { deferrable: true } as const
const schema = {
  params: Type.Object({ id: Id }),
  response: { 200: Type.Object({ following: Type.Boolean() }) },
}

/** Like likes, follows and unfollows use the coalescing writer. */
export function followRoutes(app: App): FastifyPluginAsyncTypebox {
  return async (server) => {
    const writer = followWriter(app)
    server.addHook('onClose', () => writer.close())

    const write = async (kind: 'follow' | 'unfollow', followerId: string, followeeId: string, requestId: string) => {
      if (followerId === followeeId) throw fail('CANNOT_FOLLOW_SELF')
      if (!(await writer.add(kind, { followerId, followeeId, requestId }))) throw fail('USER_NOT_FOUND')
      return { following: kind === 'follow' }
    }

    server.post(
      '/users/:id/follow',
      {
        config,
        schema: {
          tags: ['users'],
          summary: 'Follow a user',
          description: 'Idempotent. The first follow notifies the user.',
          answers: { 200: 'The caller follows the user, now or already before' },
          errors: ['USER_NOT_FOUND', 'CANNOT_FOLLOW_SELF'],
          ...schema,
        },
      },
      (request) => write('follow', request.user.userId, request.params.id, request.id),
    )
    server.post(
      '/users/:id/unfollow',
      {
        config,
        schema: {
          tags: ['users'],
          summary: 'Unfollow a user',
          description: 'Idempotent. Retracts the notification of the follow.',
          answers: { 200: 'The caller does not follow the user' },
          errors: ['USER_NOT_FOUND', 'CANNOT_FOLLOW_SELF'],
          ...schema,
        },
      },
      (request) => write('unfollow', request.user.userId, request.params.id, request.id),
    )
  }
}

export function followWriter(app: App): Coalescer<'follow' | 'unfollow', FollowRequest, boolean> {
  return new Coalescer({
    capacity: app.config.writeQueueSize,
    keyOf: ({ followerId, followeeId }) => `${followerId}:${followeeId}`,
    run: {
      follow: (requests) => followBatch(app.pool, requests),
      unfollow: (requests) => unfollowBatch(app.pool, requests),
    },
    onCommit: () => app.wakeUps.eventsAppended(),
  })
}
