import { type TObject, Type } from '@sinclair/typebox'
import type { FastifyInstance, FastifyRequest, preHandlerAsyncHookHandler } from 'fastify'
import type { App } from '../../app.ts'
import { fail } from '../../errors.ts'
import { ExternalId } from '../../protocol/id.ts'
import { findIdOf } from './read.ts'

/** Calls for which external users have separate routes, so they are not derived. */
const OWN = new Set(['GET /users/:id', 'DELETE /users/:id'])

/**
 * Makes each route below `/users/:id` and `/admin/users/:id` that is added later also available below
 * `/users/external/:externalId` and `/admin/users/external/:externalId`. The API document does not repeat them.
 */
export function nameUsersByExternalId(server: FastifyInstance, { db }: App): void {
  const resolve: preHandlerAsyncHookHandler = async (request) => {
    const { externalId, ...params } = request.params as { externalId: string }
    const id = await findIdOf(db, externalId)
    if (id === undefined) throw fail('USER_NOT_FOUND')
    request.params = { ...params, id } satisfies FastifyRequest['params']
  }
  server.addHook('onRoute', function (this: FastifyInstance, route) {
    const { routePath, method, schema } = route
    const named = /^(\/admin)?\/users\/:id(?=\/|$)/.exec(routePath)
    if (!named || method === 'HEAD' || OWN.has(`${method} ${routePath}`)) return
    const { id: _, ...others } = (schema?.params as TObject | undefined)?.properties ?? {}
    this.route({
      ...route,
      url: routePath.replace('/users/:id', '/users/external/:externalId'),
      schema: { ...schema, hide: true, params: Type.Object({ externalId: ExternalId, ...others }) },
      preHandler: [resolve, ...[route.preHandler ?? []].flat()],
    })
  })
}
