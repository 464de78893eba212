import { type Static, Type } from '@sinclair/typebox'
import type pg from 'pg'

const time = Type.String({ format: 'date-time' })
const NullableText = Type.Union([Type.String(), Type.Null()])

export const Why = Type.Object({
  decisions: Type.Array(
    Type.Object({
      channel: Type.String(),
      decision: Type.Union([Type.Literal('allow'), Type.Literal('suppress'), Type.Literal('defer')]),
      decidedBy: Type.String(),
      reason: Type.String(),
      until: Type.Union([time, Type.Null()]),
      at: time,
    }),
  ),
  deliveries: Type.Array(
    Type.Object({
      channel: Type.String(),
      target: Type.String(),
      state: Type.String(),
      reason: NullableText,
      attempts: Type.Integer(),
      lastError: NullableText,
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
