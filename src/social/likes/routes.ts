import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import type { App } from '../../app.ts'
import { Coalescer } from '../../db/coalescer.ts'
import { fail } from '../../errors.ts'
import { PageQuery, pageOf } from '../../http/paging.ts'
import { Id } from '../../protocol/id.ts'
import { User } from '../users/view.ts'
import { listLikers } from './read.ts'
import { type LikeOutcome, type LikeRequest, likeBatch, unlikeBatch } from './write.ts'

const OneId = Type.Object({ id: Id })
const config = { deferrable: true } as const
const schema = {
  params: OneId,
  response: { 200: Type.Object({ liked: Type.Boolean(), likeCount: Type.Integer() }) },
}

/** Likes and unlikes use the coalescing writer. Each is answered after its batch is committed. */
export function likeRoutes(app: App): FastifyPluginAsyncTypebox {
  return async (server) => {
    const writer = likeWriter(app)
    server.addHook('onClose', () => writer.close())

    server.post(
      '/posts/:id/like',
      {
        config,
        schema: {
          tags: ['posts'],
          summary: 'Like a post',
          description: 'Idempotent. The first three likes of a post notify the author at once, later ones together.',
          answers: { 200: 'The folded count plus this like' },
          errors: ['POST_NOT_FOUND'],
          ...schema,
        },
      },
      async ({ params, user, id: requestId }) => {
        const outcome = await writer.add('like', { postId: params.id, userId: user.userId, requestId })
        if (!outcome) throw fail('POST_NOT_FOUND')
        return { liked: true, likeCount: outcome.likeCount }
      },
    )

    server.delete(
      '/posts/:id/like',
      {
        config,
        schema: {
          tags: ['posts'],
          summary: 'Remove my like',
          description: 'Idempotent. Retracts the like from the notification of the author.',
          answers: { 200: 'The folded count without this like' },
          errors: ['POST_NOT_FOUND'],
          ...schema,
        },
      },
      async ({ params, user, id: requestId }) => {
        const outcome = await writer.add('unlike', { postId: params.id, userId: user.userId, requestId })
        if (!outcome) throw fail('POST_NOT_FOUND')
        return { liked: false, likeCount: outcome.likeCount }
      },
    )

    server.get(
      '/posts/:id/likes',
      {
        schema: {
          tags: ['posts'],
          summary: 'List the users who like a post, latest first',
          description: 'Leaves out users who block or are blocked.',
          answers: { 200: 'A page of users, the latest like first' },
          errors: ['POST_NOT_FOUND'],
          params: OneId,
          querystring: PageQuery,
          response: { 200: pageOf(User) },
        },
      },
      ({ params, query: { limit = 20, cursor }, user }) =>
        listLikers(app.pool, { viewerId: user.userId, postId: params.id, limit, cursor }),
    )
  }
}

export function likeWriter(app: App): Coalescer<'like' | 'unlike', LikeRequest, LikeOutcome> {
  return new Coalescer({
    capacity: app.config.writeQueueSize,
    keyOf: ({ postId, userId }) => `${postId}:${userId}`,
    run: {
      like: (requests) => likeBatch(app.pool, requests),
      unlike: (requests) => unlikeBatch(app.pool, requests),
    },
    onCommit: () => app.wakeUps.eventsAppended(),
  })
}
