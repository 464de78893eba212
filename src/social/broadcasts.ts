import { Type } from '@sinclair/typebox'
import type { App } from '../app.ts'
import { fail } from '../errors.ts'
import type { CompileAudience } from '../notify/broadcasts/audience.ts'
import { type Audiences, routesOfBroadcasts } from '../notify/broadcasts/routes.ts'
import { compileAudience, segmentError } from './segments/audience.ts'
import { audienceOf as audienceOfSegment } from './segments/routes.ts'
import { checkRule, type Rule, RuleSchema } from './segments/rule.ts'
import { findSegment } from './segments/store.ts'

/** The notification engine stores audiences and does not know what rules consist of: they were checked when they were saved. */
export const compile: CompileAudience = (audience, values) =>
  compileAudience('rule' in audience ? { rule: audience.rule as Rule } : audience, values)

const EVERYONE = 'everyone'

const audiences: Audiences = {
  rule: Type.Unsafe({ anyOf: [RuleSchema, { const: EVERYONE, type: 'string' }], description: 'A rule, or everyone' }),
  compile,
  faultOf: segmentError,
  async audienceOf(trx, { segmentId, rule, everyone }) {
    const named = [segmentId, rule, everyone].filter((one) => one !== undefined)
    if (named.length !== 1)
      throw fail('VALIDATION_FAILED', 'Exactly one of segmentId, rule and everyone', { pointer: '/segmentId' })
    if (everyone || rule === EVERYONE) return { everyone: true }
    if (rule !== undefined) return { rule: checkRule(rule) }
    const segment = await findSegment(trx, String(segmentId))
    if (!segment) throw fail('SEGMENT_NOT_FOUND')
    return audienceOfSegment(segment)
  },
}

export function broadcastRoutes(app: App) {
  return routesOfBroadcasts(app, audiences)
}
