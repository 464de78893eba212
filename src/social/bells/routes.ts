import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import type { App } from '../../app.ts'
import { fail } from '../../errors.ts'
import { Id } from '../../protocol/id.ts'
import { switchOff, switchOn } from './store.ts'

const schema = {
  params: Type.Object({ id: Id }),
  body: Type.Object({ enabled: Type.Boolean() }, { additionalProperties: false }),
  response: { 200: Type.Object({ bell: Type.Boolean() }) },
}

/** Subscriptions to all posts of a user ("bells"). Idempotent. */
export function bellRoutes({ pool }: App): FastifyPluginAsyncTypebox {
  return async (server) => {
    server.put(
      '/users/:id/bell',
      {
        schema: {
          tags: ['users'],
          summary: 'Turn notifications about the posts of a user on or off',
          description: 'With the bell on, each new post of the user notifies the caller at once (`post.published`).',
          answers: { 200: 'The bell is as requested' },
          errors: ['USER_NOT_FOUND', 'CANNOT_RING_FOR_SELF'],
          ...schema,
        },
      },
      async ({ params, body: { enabled }, user }) => {
        if (params.id === user.userId) throw fail('CANNOT_RING_FOR_SELF')
        const bell = { userId: user.userId, authorId: params.id }
        const found = await (enabled ? switchOn : switchOff)(pool, bell)
        if (!found) throw fail('USER_NOT_FOUND')
        return { bell: enabled }
      },
    )
  }
}
