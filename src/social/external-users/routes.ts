import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { type TObject, Type } from '@sinclair/typebox'
import type { FastifyInstance, FastifyRequest, preHandlerAsyncHookHandler } from 'fastify'
import type pg from 'pg'
import type { App } from '../../app.ts'
import { fail } from '../../errors.ts'
import { audited } from '../../notify/audit/audited.ts'
import { ExternalId } from '../../protocol/id.ts'
import { deleteUser } from '../users/delete.ts'
import { findVisibleUser } from '../users/view.ts'
import { ExternalProfile, type ExternalUser, ExternalUsers, ExternalUserView, FoundUser } from './fields.ts'
import { findIdOf, readExternalUsers } from './read.ts'
import { writeExternalUsers } from './write.ts'

const OneId = Type.Object({ externalId: ExternalId })
const Many = Type.Object({
  items: Type.Array(ExternalUserView, { description: 'In the order of the request' }),
  created: Type.Integer({ description: 'Number of users that did not exist before' }),
})
/** Maximum body size: 1000 users with all fields at their maximum length. */
const MANY_BODY_LIMIT = 4 * 1024 * 1024

const config = { service: 'users:write' } as const

/** Users of the application that embeds Ravenpost, by the application's own ids. */
export function externalUserRoutes(app: App): FastifyPluginAsyncTypebox {
  const { pool, db } = app
  return async (server) => {
    server.put(
      '/users/external/:externalId',
      {
        config,
        schema: {
          tags: ['services'],
          summary: 'Create or change a user of your application',
          description: 'Idempotent: call it at every sign-in of your application. Only the sent properties change.',
          answers: { 200: 'The user existed and is changed', 201: 'The user is created' },
          errors: ['USERNAME_TAKEN', 'EMAIL_TAKEN', 'BAD_TIME_ZONE', 'USER_NOT_FOUND', 'INBOX_BUSY'],
          params: OneId,
          body: ExternalProfile,
          response: { 200: ExternalUserView, 201: ExternalUserView },
        },
      },
      async (request, reply) => {
        const {
          params: { externalId },
          body,
          service,
          user,
        } = request
        const users = [{ externalId, ...body }]
        const made = await writeExternalUsers(pool, users, auditOf(request, users))
        const [written] = await readExternalUsers(pool, [externalId], service ? null : user.userId)
        if (!written) throw fail('USER_NOT_FOUND', 'The user was deleted meanwhile')
        return reply.code(made.length > 0 ? 201 : 200).send(written)
      },
    )

    server.put(
      '/users/external',
      {
        config,
        bodyLimit: MANY_BODY_LIMIT,
        schema: {
          tags: ['services'],
          summary: 'Create or change up to 1,000 users of your application',
          description: 'All users are written in one transaction, or none.',
          answers: { 200: 'The users in the order of the request, and how many are new' },
          errors: ['USERNAME_TAKEN', 'EMAIL_TAKEN', 'BAD_TIME_ZONE', 'INBOX_BUSY'],
          body: ExternalUsers,
          response: { 200: Many },
        },
      },
      async (request) => {
        const {
          body: { users },
          service,
          user,
        } = request
        const made = await writeExternalUsers(pool, users, auditOf(request, users))
        const ids = users.map(({ externalId }) => externalId)
        return { items: await readExternalUsers(pool, ids, service ? null : user.userId), created: made.length }
      },
    )

    server.get(
      '/users/external/:externalId',
      {
        config: { ...config, orUser: true },
        schema: {
          tags: ['services'],
          summary: 'Get a user of your application',
          description: 'Services see all users; a signed-in user sees what `GET /users/{id}` shows.',
          answers: { 200: 'The user' },
          errors: ['USER_NOT_FOUND'],
          params: OneId,
          response: { 200: FoundUser },
        },
      },
      async ({ params: { externalId }, service, user }) => {
        if (service) return found((await readExternalUsers(pool, [externalId], null))[0])
        return found(await findVisibleUser(pool, found(await findIdOf(db, externalId)), user.userId))
      },
    )

    server.delete(
      '/users/external/:externalId',
      {
        config,
        schema: {
          tags: ['services'],
          summary: 'Delete a user of your application',
          description: 'Deletes the user and everything with it, as `DELETE /users/{id}` does.',
          answers: { 204: 'The user is deleted' },
          errors: ['USER_NOT_FOUND'],
          params: OneId,
          response: { 204: Type.Null() },
        },
      },
      async (request, reply) => {
        const id = found(await findIdOf(db, request.params.externalId))
        await deleteUser(app, id, async (trx) => {
          const change = { before: { deleted: false }, after: { deleted: true } }
          await audited(trx, request, { action: 'external_user.delete', target: `user:${id}`, ...change })
        })
        return reply.code(204).send(null)
      },
    )
  }
}

/**
 * The audit row of users that an admin writes: numbers and names of properties, no personal data. Services leave none,
 * because they write a user at each sign-in.
 */
function auditOf(request: FastifyRequest, written: ExternalUser[]) {
  if (request.service) return undefined
  return async (trx: pg.ClientBase, made: string[]) => {
    const { rows } = await trx.query<{ users: string[] }>('select notify.users_of($1::text[])::text[] as users', [
      written.map(({ externalId }) => externalId),
    ])
    const users = rows[0]?.users ?? []
    const properties = [...new Set(written.flatMap((user) => Object.keys(user)))]
    await audited(trx, request, {
      action: 'external_user.write',
      target: users.length === 1 ? `user:${users[0]}` : null,
      after: { users, properties, created: made.length },
    })
  }
}

function found<T>(value: T | undefined): T {
  if (value === undefined) throw fail('USER_NOT_FOUND')
  return value
}

/** Calls for which external users have separate routes, so they are not derived. */
const OWN = new Set(['GET /users/:id', 'DELETE /users/:id'])

/**
 * Makes each route below `/users/:id`, `/admin/users/:id` and `/admin/trace/:userId` that is added later also available with
 * `external/:externalId` in place of the id. The API document does not repeat them.
 */
export function nameUsersByExternalId(server: FastifyInstance, { db }: App): void {
  const resolveAs =
    (name: string): preHandlerAsyncHookHandler =>
    async (request) => {
      const { externalId, ...params } = request.params as { externalId: string }
      const id = await findIdOf(db, externalId)
      if (id === undefined) throw fail('USER_NOT_FOUND')
      request.params = { ...params, [name]: id } satisfies FastifyRequest['params']
    }
  server.addHook('onRoute', function (this: FastifyInstance, route) {
    const { routePath, method, schema } = route
    const [, name] = /^(?:(?:\/admin)?\/users|\/admin\/trace)\/:(id|userId)(?=\/|$)/.exec(routePath) ?? []
    if (name === undefined || method === 'HEAD' || OWN.has(`${method} ${routePath}`)) return
    const { [name]: _, ...others } = (schema?.params as TObject | undefined)?.properties ?? {}
    this.route({
      ...route,
      url: routePath.replace(`:${name}`, 'external/:externalId'),
      schema: { ...schema, hide: true, params: Type.Object({ externalId: ExternalId, ...others }) },
      preHandler: [resolveAs(name), ...[route.preHandler ?? []].flat()],
    })
  })
}
