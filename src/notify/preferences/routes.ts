import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import type { App } from '../../app.ts'
import { build, run } from '../../db/kysely.ts'
import { fail } from '../../errors.ts'
import { answerReadOnce, IdempotencyHeader } from '../../http/idempotency.ts'
import { Id } from '../../protocol/id.ts'
import { decide, type Rule } from '../rules/decide.ts'
import { preferencesOf } from '../rules/relations.ts'
import { channels } from '../types/types.ts'
import { GivenPreferences, Preferences, withDefaults } from './document.ts'
import { storePreferences } from './store.ts'
import { WhatIf, whatIf } from './what-if.ts'

const OnOff = Type.Object({
  enabled: Type.Boolean(),
  decidedBy: Type.Unsafe<Rule>({ type: 'string', description: 'The rule that decides', examples: ['typeDefault'] }),
})

/**
 * `effective`: per type and channel, whether it is currently sent, and the rule that decides. Quiet hours do not count
 * as off.
 */
const Answer = Type.Object({
  preferences: Preferences,
  effective: Type.Record(Type.String(), Type.Object({ inApp: OnOff, email: OnOff, webPush: OnOff }), {
    description: 'By type: whether each channel is on now, without regard to quiet hours',
  }),
})

const Question = Type.Object(
  {
    preferences: GivenPreferences,
    days: Type.Optional(Type.Integer({ minimum: 1, maximum: 90, default: 30, description: 'How many days back' })),
  },
  { additionalProperties: false },
)

const OneUser = Type.Object({ id: Id })

export function preferenceRoutes(app: App): FastifyPluginAsyncTypebox {
  return async (server) => {
    server.get(
      '/notifications/preferences',
      {
        schema: {
          tags: ['notifications'],
          summary: 'Get my preferences and the effective settings',
          description: '`effective` contains for each type and channel whether it is on, and what decided that.',
          answers: { 200: 'The whole document, defaults included, and its effect' },
          response: { 200: Answer },
        },
      },
      ({ user }) => answer(app, user.userId),
    )

    server.put(
      '/notifications/preferences',
      {
        schema: {
          tags: ['notifications'],
          summary: 'Replace my preferences',
          description:
            'Replaces the whole document: what is missing means the default. Send back what `GET` answered with your change in it.',
          answers: { 200: 'The stored document and its effect' },
          errors: ['BAD_TIME_ZONE', 'INBOX_BUSY'],
          body: GivenPreferences,
          response: { 200: Answer },
        },
      },
      async ({ user, body }) => {
        await storePreferences(app.pool, user.userId, body)
        return answer(app, user.userId)
      },
    )

    server.post(
      '/notifications/preferences/what-if',
      {
        schema: {
          tags: ['notifications'],
          summary: 'Preview how preferences would have treated my recent notifications',
          description: 'Repeats the decisions about the notifications of the last `days`. Changes nothing.',
          answers: { 200: 'By type and channel, how the decisions would differ' },
          errors: ['BAD_TIME_ZONE'],
          body: Question,
          response: { 200: WhatIf },
        },
      },
      ({ user, body: { preferences, days = 30 } }) => whatIf(app, user.userId, preferences, days),
    )

    server.post(
      '/admin/users/:id/what-if',
      {
        config: { role: 'reader' },
        schema: {
          tags: ['admin'],
          summary: 'Preview how preferences would have treated the recent notifications of a user',
          description: 'Like the call of a user about their own preferences. Changes nothing.',
          answers: { 200: 'By type and channel, how the decisions would differ' },
          errors: ['USER_NOT_FOUND', 'BAD_TIME_ZONE'],
          headers: IdempotencyHeader,
          params: OneUser,
          body: Question,
          response: { 200: WhatIf },
        },
      },
      (request, reply) =>
        answerReadOnce(app.pool, request, reply, async () => {
          const { params, body } = request
          const inbox = build.selectFrom('notify.inbox').select('userId').where('userId', '=', params.id)
          if ((await run(app.pool, inbox)).count === 0) throw fail('USER_NOT_FOUND')
          return whatIf(app, params.id, body.preferences, body.days ?? 30)
        }),
    )
  }
}

async function answer(app: App, userId: string) {
  const ownPreferences = (await preferencesOf(app.pool, [userId])).get(userId)
  const types = await app.types.current()
  const names = new Set([...(await app.types.names()), ...Object.keys(ownPreferences?.document.types ?? {})])
  const effective = [...names].sort().map((name) => {
    const type = types(name)
    const perChannel = channels.map((channel) => {
      const { decision, decidedBy } = decide(
        type,
        channel,
        null,
        ownPreferences && { ...ownPreferences, dndUntil: null, snoozeUntil: null, digestAt: null, recent: [] },
      )
      return [channel, { enabled: decision !== 'suppress', decidedBy }]
    })
    return [name, Object.fromEntries(perChannel)]
  })
  return { preferences: withDefaults(ownPreferences?.document ?? {}), effective: Object.fromEntries(effective) }
}
