import { type Static, Type } from '@sinclair/typebox'
import type pg from 'pg'
import { textOrNull, timeOrNull } from '../../protocol/nullable.ts'

const time = Type.String({ format: 'date-time' })

export const Why = Type.Object({
  decisions: Type.Array(
    Type.Object({
      channel: Type.String({ description: 'inApp, email or webPush', examples: ['inApp'] }),
      decision: Type.Union([Type.Literal('allow'), Type.Literal('suppress'), Type.Literal('defer')], {
        description: 'defer: sent later, at `until`',
      }),
      decidedBy: Type.String({
        description: 'The rule, such as typePreference, mute or dnd',
        examples: ['typeDefault'],
      }),
      reason: Type.String({
        description: 'The same in words',
        examples: ['this channel is on by default for this type'],
      }),
      until: timeOrNull('End of the delay; null: none', { examples: [null] }),
      at: Type.String({ format: 'date-time', description: 'Time of the decision' }),
    }),
  ),
  deliveries: Type.Array(
    Type.Object({
      channel: Type.String({ examples: ['webPush'] }),
      target: Type.String({
        description: 'email: primary, the address of the account; webPush: id of the subscription',
        examples: ['7'],
      }),
      state: Type.String({ description: 'queued, sending, sent, failed, bounced, …', examples: ['sent'] }),
      reason: textOrNull('Why it was not sent', { examples: [null] }),
      attempts: Type.Integer(),
      lastError: textOrNull('Of the last attempt', { examples: [null] }),
      updatedAt: time,
    }),
  ),
})
type Why = Static<typeof Why>

type Dates<T> = { [K in keyof T]: K extends 'until' ? Date | null : K extends 'at' | 'updatedAt' ? Date : T[K] }

/**
 * Shown to users instead of the error text. That text may contain hosts, addresses and certificates, and a user could probe the
 * network with endpoints.
 */
const FAILS_NOW = 'the provider fails at the moment'
const failures: Record<string, string> = {
  failed: 'it could not be delivered',
  bounced: 'the address was refused',
}

/** Reads the decision about a notification (notify.why) and its deliveries on other channels. */
export async function readWhy(pool: pg.Pool, userId: string, id: string): Promise<Why> {
  const values = [userId, id]
  const [decisions, deliveries] = await Promise.all([
    pool.query<Dates<Why['decisions'][number]>>(
      `select channel, decision, decided_by as "decidedBy", reason, until, at from notify.why($1, $2)`,
      values,
    ),
    pool.query<Dates<Why['deliveries'][number]>>(
      `select channel, target, state, reason, attempts, last_error as "lastError", updated_at as "updatedAt"
       from notify.deliveries where user_id = $1 and notification_id = $2 order by channel, target`,
      values,
    ),
  ])
  return {
    decisions: decisions.rows.map((row) => ({
      ...row,
      until: row.until?.toISOString() ?? null,
      at: row.at.toISOString(),
    })),
    deliveries: deliveries.rows.map((row) => ({
      ...row,
      lastError: row.lastError && (failures[row.state] ?? FAILS_NOW),
      updatedAt: row.updatedAt.toISOString(),
    })),
  }
}
