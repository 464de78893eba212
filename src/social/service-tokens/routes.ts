import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import type { App } from '../../app.ts'
import { build, run } from '../../db/kysely.ts'
import { inTransaction } from '../../db/transaction.ts'
import { fail } from '../../errors.ts'
import { Scope } from '../../http/identity.ts'
import { cutPage, decodeCursor, PageQuery, pageOf } from '../../http/paging.ts'
import { audited } from '../../notify/audit/audited.ts'
import { Id } from '../../protocol/id.ts'
import { newServiceToken } from './tokens.ts'

const scopes = Type.Array(Scope, { minItems: 1, maxItems: 10, uniqueItems: true })
const name = Type.String({ minLength: 1, maxLength: 100 })
const NewToken = Type.Object({ name, scopes }, { additionalProperties: false })
const ShownOnce = Type.Object({ id: Id, token: Type.String() })
const time = Type.String({ format: 'date-time' })
const ServiceToken = Type.Object({
  id: Id,
  name,
  scopes,
  createdAt: time,
  revokedAt: Type.Union([time, Type.Null()]),
})
const OneId = Type.Object({ id: Id })

/**
 * Tokens for services that send notifications. There is no Idempotency-Key, because an answer with a token must not be
 * stored.
 */
export function serviceTokenRoutes({ pool }: App): FastifyPluginAsyncTypebox {
  return async (server) => {
    server.post(
      '/service-tokens',
      {
        config: { role: 'admin' },
        schema: {
          tags: ['services'],
          summary: 'Create a service token',
          description: 'The answer is the only place that shows the token. Use it as `Authorization: Bearer rp_…`.',
          answers: { 201: 'The token' },
          body: NewToken,
          response: { 201: ShownOnce },
        },
      },
      async (request, reply) => {
        const { name, scopes } = request.body
        const { token, hash } = newServiceToken()
        const id = await inTransaction(pool, async (trx) => {
          const { rows } = await run(
            trx,
            build.insertInto('social.serviceTokens').values({ name, scopes, tokenHash: hash }).returning('id'),
          )
          const target = `service_token:${rows[0]?.id}`
          await audited(trx, request, { action: 'service_token.create', target, after: { name, scopes } })
          return rows[0]?.id ?? ''
        })
        return reply.code(201).send({ id, token })
      },
    )

    server.get(
      '/service-tokens',
      {
        config: { role: 'reader' },
        schema: {
          tags: ['services'],
          summary: 'List the service tokens',
          description: 'Shows no token, only names and scopes; revoked ones too.',
          answers: { 200: 'A page of service tokens' },
          querystring: PageQuery,
          response: { 200: pageOf(ServiceToken) },
        },
      },
      async ({ query: { limit = 20, cursor } }) => {
        const [before] = decodeCursor(cursor, 1) ?? []
        const { rows } = await pool.query(
          `select id, name, scopes, created_at as "createdAt", revoked_at as "revokedAt" from social.service_tokens
           where $1::bigint is null or id < $1::bigint order by id desc limit $2::int`,
          [before ?? null, limit + 1],
        )
        const { items, nextCursor } = cutPage(rows, limit, (last) => [last.id])
        return {
          items: items.map((row) => ({
            ...row,
            createdAt: row.createdAt.toISOString(),
            revokedAt: row.revokedAt?.toISOString() ?? null,
          })),
          nextCursor,
        }
      },
    )

    server.delete(
      '/service-tokens/:id',
      {
        config: { role: 'admin' },
        schema: {
          tags: ['services'],
          summary: 'Revoke a service token',
          description: 'Takes effect in every process at once.',
          answers: { 204: 'The token is revoked' },
          errors: ['SERVICE_TOKEN_NOT_FOUND'],
          params: OneId,
          response: { 204: Type.Null() },
        },
      },
      async (request, reply) => {
        const { id } = request.params
        await inTransaction(pool, async (trx) => {
          const { rows } = await run(
            trx,
            build
              .updateTable('social.serviceTokens')
              .set(({ fn, ref }) => ({ revokedAt: fn.coalesce(ref('revokedAt'), fn<Date>('now')) }))
              .where('id', '=', id)
              .returning(['name', 'scopes']),
          )
          if (!rows[0]) throw fail('SERVICE_TOKEN_NOT_FOUND')
          const target = `service_token:${id}`
          await audited(trx, request, { action: 'service_token.revoke', target, before: rows[0] })
        })
        return reply.code(204).send(null)
      },
    )
  }
}
