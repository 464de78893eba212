import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import type { App } from '../../app.ts'
import { fail } from '../../errors.ts'
import { PageQuery, pageOf } from '../../http/paging.ts'
import { Id } from '../../protocol/id.ts'
import { MediaId } from '../media/view.ts'
import { confirmPassword } from '../passwords/confirm-password.ts'
import { createConfirmationLimit } from '../passwords/failed-sign-ins.ts'
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
  {
    q: Type.String({ minLength: 1, maxLength: 100, pattern: '\\S', description: 'Part of a name', examples: ['ana'] }),
    ...PageQuery.properties,
  },
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

const page = { querystring: PageQuery, response: { 200: pageOf(User) }, answers: { 200: 'A page of users' } }

export function userRoutes(app: App): FastifyPluginAsyncTypebox {
  const limitFailures = createConfirmationLimit(app)
  const { pool } = app
  return async (server) => {
    server.get(
      '/users/search',
      {
        schema: {
          tags: ['users'],
          summary: 'Find users by name',
          description:
            'Lists usernames that begin with the text first, then display names, then other matches. Leaves out users who block or are blocked.',
          answers: { 200: 'A page of users' },
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
          description: 'Ignores case. For links such as `/@ana`.',
          answers: { 200: 'The user' },
          errors: ['USER_NOT_FOUND'],
          params: NameParams,
          response: { 200: User },
        },
      },
      async ({ params, user }) => found(await findVisibleUserByName(pool, params.username, user.userId)),
    )

    for (const [name, summary, description, list] of [
      ['blocked', 'List the users I block', 'Only the user who blocks sees this list.', listBlocked],
      [
        'muted',
        'List the users I mute',
        'Only the user who mutes sees this list. Leaves out expired mutes.',
        listMuted,
      ],
    ] as const)
      server.get(
        `/users/${name}`,
        { schema: { tags: ['users'], summary, description, ...page } },
        ({ query: { limit = 20, cursor }, user: { userId } }) =>
          list(pool, { userId, viewerId: userId, limit, cursor }),
      )

    server.get(
      '/users/:id',
      {
        schema: {
          tags: ['users'],
          summary: 'Get a user',
          description:
            '`viewer` is the relation of the caller to the user. A user who blocks the caller does not exist for them.',
          answers: { 200: 'The user' },
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
          description: 'Only the sent properties change. The id must be that of the caller.',
          answers: { 200: 'The changed profile' },
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
          description:
            'Deletes posts, comments, likes, follows, media, notifications and sessions. The id must be that of the caller; accounts without a password send no `currentPassword`.',
          answers: { 204: 'The account is deleted' },
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
            description: 'Leaves out users who block the caller or are blocked.',
            errors: ['USER_NOT_FOUND'],
            params: Params,
            ...page,
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
