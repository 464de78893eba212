import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import type pg from 'pg'
import type { App } from '../../app.ts'
import { answerOnce, IdempotencyHeader } from '../../http/idempotency.ts'
import { cutPage, decodeCursor, PageQuery, pageOf } from '../../http/paging.ts'
import { Comment } from '../../protocol/comment.ts'
import { Id } from '../../protocol/id.ts'
import { listComments } from './read.ts'
import { deleteComment, editComment, insertComment, whenFree } from './write.ts'

const OneId = Type.Object({ id: Id })
const body = Type.String({ minLength: 1, maxLength: 2000 })
const NewComment = Type.Object({ body, parentId: Type.Optional(Id) }, { additionalProperties: false })
const EditedComment = Type.Object({ body }, { additionalProperties: false })
const ListQuery = Type.Object({ parentId: Type.Optional(Id), ...PageQuery.properties }, { additionalProperties: false })

export function commentRoutes(app: App): FastifyPluginAsyncTypebox {
  return async (server) => {
    server.post(
      '/posts/:id/comment',
      {
        schema: {
          tags: ['posts'],
          summary: 'Comment on a post, or reply to a comment',
          description:
            'Notifies each user once, by the first reason that fits: replied, mentioned, commented. Replies and mentions arrive at once, comments gathered within a minute.',
          answers: { 201: 'The new comment' },
          errors: ['POST_NOT_FOUND', 'COMMENT_NOT_FOUND'],
          params: OneId,
          headers: IdempotencyHeader,
          body: NewComment,
          response: { 201: Comment },
        },
      },
      (request, reply) => {
        const { params, body, user, id: requestId } = request
        const comment = { postId: params.id, parentId: body.parentId ?? null, body: body.body }
        const insert = (trx: pg.ClientBase) => insertComment(trx, { userId: user.userId, requestId }, comment)
        return whenFree(() => answerOnce(app.pool, request, reply, 201, insert)).finally(() =>
          app.wakeUps.eventsAppended(),
        )
      },
    )

    server.get(
      '/posts/:id/comments',
      {
        schema: {
          tags: ['posts'],
          summary: 'List the comments of a post, or the replies to a comment, oldest first',
          description: 'Without `parentId`: comments that reply to no other.',
          answers: { 200: 'A page of comments, oldest first' },
          errors: ['POST_NOT_FOUND', 'COMMENT_NOT_FOUND'],
          params: OneId,
          querystring: ListQuery,
          response: { 200: pageOf(Comment) },
        },
      },
      async ({ params, query, user }) => {
        const { parentId, limit = 20, cursor } = query
        const after = decodeCursor(cursor, 1)?.[0] ?? null
        const comments = await listComments(app.pool, user.userId, {
          postId: params.id,
          parentId,
          after,
          limit: limit + 1,
        })
        return cutPage(comments, limit, (last) => [last.id])
      },
    )

    server.patch(
      '/comments/:id',
      {
        schema: {
          tags: ['posts'],
          summary: 'Edit my comment',
          description: 'Only the author. Changes the previews in notifications, and notifies nobody.',
          answers: { 200: 'The changed comment' },
          errors: ['COMMENT_NOT_FOUND', 'NOT_AUTHOR'],
          params: OneId,
          body: EditedComment,
          response: { 200: Comment },
        },
      },
      ({ params, body, user, id: requestId }) =>
        editComment(app, { userId: user.userId, requestId }, params.id, body.body),
    )

    server.delete(
      '/comments/:id',
      {
        schema: {
          tags: ['posts'],
          summary: 'Delete my comment',
          description: 'Only the author. A comment with replies stays in the list without its text.',
          answers: { 204: 'The comment is deleted and its notifications are retracted' },
          errors: ['COMMENT_NOT_FOUND', 'NOT_AUTHOR'],
          params: OneId,
          response: { 204: Type.Null() },
        },
      },
      async ({ params, user, id: requestId }, reply) => {
        await deleteComment(app, { userId: user.userId, requestId }, params.id)
        return reply.code(204).send(null)
      },
    )
  }
}
