import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import type { App } from '../../app.ts'
import { fail } from '../../errors.ts'
import { PageQuery, pageOf } from '../../http/paging.ts'
import { Id } from '../../protocol/id.ts'
import { MediaId } from '../media/view.ts'
import { confirmPassword } from '../passwords/confirm-password.ts'
import { createFailureLimit } from '../passwords/failed-sign-ins.ts'
import { CurrentPassword } from '../passwords/fields.ts'
import { deleteUser } from './delete.ts'
import { editProfile } from './edit.ts'
import { listBlocked, listFollowers, listFollowing, listFriends, listMuted } from './lists.ts'
import { cleanBio, cleanDisplayName } from './names.ts'
import { searchUsers } from './search.ts'
import { findUser, findVisibleUser, findVisibleUserByName, User } from './view.ts'

export const DisplayName = Type.String({
  minLength: 1,
  maxLength: 100,
  pattern: '\\S',
  description: 'Must not contain control characters or links',
})

const Params = Type.Object({ id: Id })
const NameParams = Type.Object({
  username: Type.String({ minLength: 1, maxLength: 30, description: 'Without the @; case-insensitive' }),
})
const SearchQuery = Type.Object(
  { q: Type.String({ minLength: 1, maxLength: 100, pattern: '\\S' }), ...PageQuery.properties },
  { additionalProperties: false },
)
const Profile = Type.Partial(
  Type.Object({
    displayName: DisplayName,
    bio: Type.String({ maxLength: 500 }),
    avatarMediaId: Type.Union([MediaId, Type.Null()]),
  }),
  { additionalProperties: false },
)

const Deletion = Type.Object({ currentPassword: Type.Optional(CurrentPassword) }, { additionalProperties: false })

export function userRoutes(app: App): FastifyPluginAsyncTypebox {
  const limitFailures = createFailureLimit(app)
  const { pool } = app
  return async (server) => {
    server.get(
      '/users/search',
      {
        schema: {
          tags: ['users'],
          summary: 'Find users by name',
          querystring: SearchQuery,
          response: { 200: pageOf(User) },
        },
      },
      ({ query: { q, limit = 20, cursor }, user }) =>
        searchUsers(pool, { text: q.trim(), viewerId: user.userId, limit, cursor }),
    )

    server.get(
      '/users/by-name/:username',
      {
        schema: {
          tags: ['users'],
          summary: 'Get a user by username',
          errors: ['USER_NOT_FOUND'],
          params: NameParams,
          response: { 200: User },
        },
      },
      async ({ params, user }) => found(await findVisibleUserByName(pool, params.username, user.userId)),
    )

    for (const [name, summary, list] of [
      ['blocked', 'List the users I block', listBlocked],
      ['muted', 'List the users I mute', listMuted],
    ] as const)
      server.get(
        `/users/${name}`,
        { schema: { tags: ['users'], summary, querystring: PageQuery, response: { 200: pageOf(User) } } },
        ({ query: { limit = 20, cursor }, user: { userId } }) =>
          list(pool, { userId, viewerId: userId, limit, cursor }),
      )

    server.get(
      '/users/:id',
      {
        schema: {
          tags: ['users'],
          summary: 'Get a user',
          errors: ['USER_NOT_FOUND'],
          params: Params,
          response: { 200: User },
        },
      },
      async ({ params, user }) => {
        return found(await findVisibleUser(pool, params.id, user.userId))
      },
    )

    server.patch(
      '/users/:id',
      {
        schema: {
          tags: ['users'],
          summary: 'Edit my profile',
          errors: ['USER_NOT_FOUND', 'NOT_YOURSELF', 'MEDIA_NOT_USABLE'],
          params: Params,
          body: Profile,
          response: { 200: User },
        },
      },
      async ({ params, body, user }) => {
        found(await findVisibleUser(pool, params.id, user.userId))
        if (params.id !== user.userId) throw fail('NOT_YOURSELF')
        await editProfile(pool, user.userId, {
          ...body,
          ...(body.displayName !== undefined && { displayName: cleanDisplayName(body.displayName) }),
          ...(body.bio !== undefined && { bio: cleanBio(body.bio) }),
        })
        return found(await findUser(pool, params.id, user.userId))
      },
    )

    server.delete(
      '/users/:id',
      {
        schema: {
          tags: ['users'],
          summary: 'Delete my account and everything with it',
          errors: ['USER_NOT_FOUND', 'NOT_YOURSELF', 'WRONG_PASSWORD'],
          params: Params,
          body: Deletion,
          response: { 204: Type.Null() },
        },
      },
      async ({ params, user, body: { currentPassword }, ip }, reply) => {
        found(await findVisibleUser(pool, params.id, user.userId))
        if (params.id !== user.userId) throw fail('NOT_YOURSELF')
        await confirmPassword(app, user.userId, { currentPassword, ip, limitFailures })
        await deleteUser(app, user.userId)
        return reply.code(204).send(null)
      },
    )

    for (const [name, summary, list] of [
      ['followers', 'List the followers of a user', listFollowers],
      ['following', 'List the users that a user follows', listFollowing],
      ['friends', 'List the followers that a user follows back', listFriends],
    ] as const)
      server.get(
        `/users/:id/${name}`,
        {
          schema: {
            tags: ['users'],
            summary,
            errors: ['USER_NOT_FOUND'],
            params: Params,
            querystring: PageQuery,
            response: { 200: pageOf(User) },
          },
        },
        async ({ params, query, user }) => {
          found(await findVisibleUser(pool, params.id, user.userId))
          return list(pool, {
            userId: params.id,
            viewerId: user.userId,
            limit: query.limit ?? 20,
            cursor: query.cursor,
          })
        },
      )
  }
}

function found<T>(value: T | undefined): T {
  if (value === undefined) throw fail('USER_NOT_FOUND')
  return value
}
