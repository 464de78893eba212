import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import type { App } from '../../app.ts'
import { PageQuery, pageOf } from '../../http/paging.ts'
import { Id } from '../../protocol/id.ts'
import { Post } from '../posts/view.ts'
import { addBookmark, listBookmarks, removeBookmark } from './store.ts'

const schema = { params: Type.Object({ id: Id }), response: { 204: Type.Null() } }

/** Posts that a user saves. No one is notified, so the outbox is not involved. */
export function bookmarkRoutes({ pool }: App): FastifyPluginAsyncTypebox {
  return async (server) => {
    server.put(
      '/posts/:id/bookmark',
      {
        schema: {
          tags: ['posts'],
          summary: 'Bookmark a post',
          description: 'Idempotent. Only the caller sees it.',
          answers: { 204: 'The post is bookmarked' },
          errors: ['POST_NOT_FOUND'],
          ...schema,
        },
      },
      async ({ params, user }, reply) => {
        await addBookmark(pool, user.userId, params.id)
        return reply.code(204).send(null)
      },
    )

    server.delete(
      '/posts/:id/bookmark',
      {
        schema: {
          tags: ['posts'],
          summary: 'Remove a bookmark',
          description: 'Idempotent.',
          answers: { 204: 'The post is not bookmarked' },
          errors: ['POST_NOT_FOUND'],
          ...schema,
        },
      },
      async ({ params, user }, reply) => {
        await removeBookmark(pool, user.userId, params.id)
        return reply.code(204).send(null)
      },
    )

    server.get(
      '/bookmarks',
      {
        schema: {
          tags: ['posts'],
          summary: 'List my bookmarks',
          description: 'Leaves out deleted posts.',
          answers: { 200: 'A page of posts, the latest bookmark first' },
          querystring: PageQuery,
          response: { 200: pageOf(Post) },
        },
      },
      ({ user, query: { limit = 20, cursor } }) => listBookmarks(pool, user.userId, limit, cursor),
    )
  }
}
