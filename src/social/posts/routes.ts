import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import type { App } from '../../app.ts'
import { fail } from '../../errors.ts'
import { answerOnce, IdempotencyHeader } from '../../http/idempotency.ts'
import { cutPage, decodeCursor, PageQuery, pageOf } from '../../http/paging.ts'
import { ExternalId, Id } from '../../protocol/id.ts'
import { findIdOf } from '../external-users/read.ts'
import { MediaId } from '../media/view.ts'
import { getPost, listPosts, requireUser } from './read.ts'
import { searchPosts } from './search.ts'
import { Post } from './view.ts'
import { deletePost, editPost, insertPost } from './write.ts'

const OneId = Type.Object({ id: Id })
const body = Type.String({ minLength: 1, maxLength: 5000 })
const NewPost = Type.Object(
  { body, mediaIds: Type.Optional(Type.Array(MediaId, { maxItems: 4, uniqueItems: true })) },
  { additionalProperties: false },
)
const EditedPost = Type.Object({ body }, { additionalProperties: false })
const Scope = Type.Union([Type.Literal('all'), Type.Literal('following'), Type.Literal('user')], { default: 'all' })
const ListQuery = Type.Object(
  {
    scope: Type.Optional(Scope),
    userId: Type.Optional(Id),
    externalId: Type.Optional(ExternalId),
    ...PageQuery.properties,
  },
  { additionalProperties: false },
)

const SearchQuery = Type.Object(
  {
    q: Type.String({
      minLength: 1,
      maxLength: 100,
      pattern: '\\S',
      description: 'Finds posts that contain all these words; the last word may be a prefix',
    }),
    ...PageQuery.properties,
  },
  { additionalProperties: false },
)

export function postRoutes(app: App): FastifyPluginAsyncTypebox {
  return async (server) => {
    server.post(
      '/posts',
      {
        schema: {
          tags: ['posts'],
          summary: 'Publish a post',
          description: 'Notifies users named with `@username` and users who subscribed with the bell.',
          answers: { 201: 'The new post' },
          errors: ['MEDIA_NOT_USABLE'],
          headers: IdempotencyHeader,
          body: NewPost,
          response: { 201: Post },
        },
      },
      (request, reply) => {
        const { body, mediaIds = [] } = request.body
        const actor = { userId: request.user.userId, requestId: request.id }
        return answerOnce(app.pool, request, reply, 201, (trx) => insertPost(trx, actor, body, mediaIds)).finally(() =>
          app.wakeUps.eventsAppended(),
        )
      },
    )

    server.get(
      '/posts',
      {
        schema: {
          tags: ['posts'],
          summary: 'List posts of everyone, of people I follow, or of one user',
          description:
            '`all` leaves out authors who block or are blocked; `following` lists those the caller follows; `user` needs `userId` or `externalId`.',
          answers: { 200: 'A page of posts, newest first' },
          errors: ['USER_NOT_FOUND'],
          querystring: ListQuery,
          response: { 200: pageOf(Post) },
        },
      },
      async (request) => {
        const { scope = 'all', userId: id, externalId, limit = 20, cursor } = request.query
        if ((scope === 'user') !== ((id ?? externalId) !== undefined) || (id !== undefined && externalId !== undefined))
          throw fail('VALIDATION_FAILED', 'scope=user requires userId or externalId, and they require scope=user', {
            pointer: '/userId',
          })
        const userId = externalId === undefined ? id : await findIdOf(app.db, externalId)
        if (externalId !== undefined && userId === undefined) throw fail('USER_NOT_FOUND')
        const before = decodeCursor(cursor, 1)?.[0] ?? null
        if (userId !== undefined) await requireUser(app.pool, userId, request.user.userId)
        const posts = await listPosts(app.pool, request.user.userId, { scope, userId, before, limit: limit + 1 })
        return cutPage(posts, limit, (last) => [last.id])
      },
    )

    server.get(
      '/posts/search',
      {
        schema: {
          tags: ['posts'],
          summary: 'Search posts by words, newest first',
          description: 'Finds posts that contain all the words, by full text.',
          answers: { 200: 'A page of posts, newest first' },
          querystring: SearchQuery,
          response: { 200: pageOf(Post) },
        },
      },
      async ({ query: { q, limit = 20, cursor }, user }) => {
        const before = decodeCursor(cursor, 1)?.[0] ?? null
        const posts = await searchPosts(app.pool, user.userId, { text: q, before, limit: limit + 1 })
        return cutPage(posts, limit, (last) => [last.id])
      },
    )

    server.get(
      '/posts/:id',
      {
        schema: {
          tags: ['posts'],
          summary: 'Get a post',
          description: '`viewer` says whether the caller likes, bookmarked or muted it.',
          answers: { 200: 'The post' },
          errors: ['POST_NOT_FOUND'],
          params: OneId,
          response: { 200: Post },
        },
      },
      (request) => getPost(app.pool, request.user.userId, request.params.id),
    )

    server.patch(
      '/posts/:id',
      {
        schema: {
          tags: ['posts'],
          summary: 'Edit my post',
          description: 'Only the author. Changes the previews in notifications, and notifies nobody.',
          answers: { 200: 'The changed post' },
          errors: ['POST_NOT_FOUND', 'NOT_AUTHOR'],
          params: OneId,
          body: EditedPost,
          response: { 200: Post },
        },
      },
      (request) =>
        editPost(app, { userId: request.user.userId, requestId: request.id }, request.params.id, request.body.body),
    )

    server.delete(
      '/posts/:id',
      {
        schema: {
          tags: ['posts'],
          summary: 'Delete my post',
          description: 'Only the author. Its notifications disappear from every inbox.',
          answers: { 204: 'The post is deleted' },
          errors: ['POST_NOT_FOUND', 'NOT_AUTHOR'],
          params: OneId,
          response: { 204: Type.Null() },
        },
      },
      async (request, reply) => {
        await deletePost(app, { userId: request.user.userId, requestId: request.id }, request.params.id)
        return reply.code(204).send(null)
      },
    )
  }
}
