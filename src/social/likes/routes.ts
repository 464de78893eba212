import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import type { App } from '../../app.ts'
import { Coalescer } from '../../db/coalescer.ts'
import { fail } from '../../errors.ts'
import { Id } from '../../http/paging.ts'
import { type LikeOutcome, type LikeRequest, likeBatch, unlikeBatch } from './write.ts'

const schema = {
  params: Type.Object({ id: Id }),
  response: { 200: Type.Object({ liked: Type.Boolean(), likeCount: Type.Integer() }) },
}

/** Likes and unlikes go through the coalescing writer: each is answered after the commit of the batch it was in. */
export function likeRoutes(app: App): FastifyPluginAsyncTypebox {
  return async (server) => {
    const writer = likeWriter(app)
    server.addHook('onClose', () => writer.close())

    server.post('/posts/:id/like', { schema }, async ({ params, user, id: requestId }) => {
      const outcome = await writer.add('like', { postId: params.id, userId: user.userId, requestId })
      if (!outcome) throw fail('POST_NOT_FOUND')
      return { liked: true, likeCount: outcome.likeCount }
    })

    server.delete('/posts/:id/like', { schema }, async ({ params, user, id: requestId }) => {
      const outcome = await writer.add('unlike', { postId: params.id, userId: user.userId, requestId })
      if (!outcome) throw fail('POST_NOT_FOUND')
      return { liked: false, likeCount: outcome.likeCount }
    })
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
