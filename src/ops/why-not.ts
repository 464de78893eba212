import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { type Static, Type } from '@sinclair/typebox'
import type { App } from '../app.ts'
import { readErrors, Sql } from '../http/shown-sql/reader.ts'
import { Id } from '../protocol/id.ts'

const Step = Type.Object({
  step: Type.String({ description: 'inbox, event, dispatch, decision, notification, device, email or webPush' }),
  result: Type.Unsafe<'ok' | 'waits' | 'stops'>({ type: 'string', enum: ['ok', 'waits', 'stops'] }),
  reason: Type.String(),
  at: Type.Union([Type.String({ format: 'date-time' }), Type.Null()]),
  source: Type.String({ description: 'Stored source id; several senders can use the same name' }),
})

const Query = Type.Object(
  {
    sourceId: Type.String({
      minLength: 1,
      maxLength: 300,
      description: 'Stored source id (like:9:4), or the sourceId that a sender chose',
    }),
  },
  { additionalProperties: false },
)

/** Explains step by step why a user did not get a notification. */
export function whyNotRoutes({ reader }: App): FastifyPluginAsyncTypebox {
  return async (server) => {
    server.get(
      '/admin/users/:id/why-not',
      {
        config: { role: 'reader' },
        schema: {
          tags: ['admin'],
          summary: 'Explain why a user did not get a notification',
          description: 'Follows a source from its event to the inbox. The same as `notify.why_not` in SQL.',
          answers: { 200: 'The steps' },
          errors: [...readErrors],
          params: Type.Object({ id: Id }),
          querystring: Query,
          response: { 200: Type.Object({ steps: Type.Array(Step), sql: Sql }) },
        },
      },
      async ({ params, query }) => {
        const { rows, sql } = await reader.read('why-not', [params.id, query.sourceId])
        return { steps: rows as Static<typeof Step>[], sql }
      },
    )
  }
}
