import { type Static, Type } from '@sinclair/typebox'
import type { App } from '../../app.ts'
import { inTransaction } from '../../db/transaction.ts'
import { fail } from '../../errors.ts'
import type { Role } from '../../http/identity.ts'
import { cutPage, decodeCursor } from '../../http/paging.ts'
import { forgetEnded } from '../../notify/channels/web-push/subscriptions.ts'
import { Id } from '../../protocol/id.ts'
import { endSession } from './revoked-sessions.ts'
import { hashRefreshToken } from './tokens.ts'

/** The result of a sign-up, sign-in or refresh. */
export type Session = { userId: string; sessionId: string; role: Role; refreshToken: string }

/** The client that starts a session. */
export type Device = { userAgent: string; ip: string }

/**
 * SQL of the maximum lifetime of a session from its sign-in, so that a stolen session ends. It is shorter for users with a role
 * of the console. `role`: SQL of the user's role. `ttl`: SQL of REFRESH_TOKEN_TTL.
 */
export const longestSession = (role: string, ttl: string) =>
  `case when ${role} <> 'user' then interval '12 hours' else greatest(interval '90 days', make_interval(secs => ${ttl}::int)) end`

const Time = Type.String({ format: 'date-time' })
export const SessionView = Type.Object({
  id: Id,
  userAgent: Type.String({ description: 'Of the sign-in; empty when the client sent none' }),
  createdAt: Time,
  lastUsedAt: Time,
  expiresAt: Time,
  current: Type.Boolean({ description: 'Whether this request uses it' }),
})
type SessionView = Static<typeof SessionView>
type SessionRow = { id: string; userAgent: string; createdAt: Date; lastUsedAt: Date; expiresAt: Date }
type Page = { items: SessionView[]; nextCursor: string | null }

/** The user's live sessions, newest first. */
export async function listSessions(
  { pool }: App,
  { userId, sessionId }: { userId: string; sessionId: string },
  { limit = 20, cursor }: { limit?: number; cursor?: string },
): Promise<Page> {
  const [before] = decodeCursor(cursor, 1) ?? []
  const { rows } = await pool.query<SessionRow>(
    `select id, user_agent as "userAgent", created_at as "createdAt", last_used_at as "lastUsedAt", expires_at as "expiresAt"
     from social.sessions
     where user_id = $1::bigint and revoked_at is null and expires_at > now() and ($2::bigint is null or id < $2::bigint)
     order by id desc limit $3::int`,
    [userId, before ?? null, limit + 1],
  )
  const { items, nextCursor } = cutPage(rows, limit, (last) => [last.id])
  return { items: items.map((row) => toSessionView(row, sessionId)), nextCursor }
}

/**
 * Ends one session of the user.
 * @throws {AppError} SESSION_NOT_FOUND when it is not a live session of this user
 */
export async function revokeSession(app: App, userId: string, sessionId: string): Promise<void> {
  await inTransaction(app.pool, async (client) => {
    const { rowCount } = await client.query(
      `update social.sessions set revoked_at = now()
       where id = $1::bigint and user_id = $2::bigint and revoked_at is null and expires_at > now()`,
      [sessionId, userId],
    )
    if (rowCount === 0) throw fail('SESSION_NOT_FOUND')
    await forgetEnded(client, userId)
  })
  endSession(app, sessionId)
}

/**
 * Ends the session of this refresh token. Does nothing when it has already ended.
 * @throws {AppError} BAD_REFRESH_TOKEN when it is no token of this user
 */
export async function signOut(app: App, userId: string, refreshToken: string): Promise<void> {
  const sessionId = await inTransaction(app.pool, async (client) => {
    const { rows } = await client.query<{ id: string }>(
      `update social.sessions s set revoked_at = coalesce(s.revoked_at, now())
       from social.refresh_tokens t
       where t.token_hash = $1::bytea and s.id = t.session_id and s.user_id = $2::bigint
       returning s.id`,
      [hashRefreshToken(refreshToken), userId],
    )
    if (!rows[0]) throw fail('BAD_REFRESH_TOKEN')
    await forgetEnded(client, userId)
    return rows[0].id
  })
  endSession(app, sessionId)
}

function toSessionView({ createdAt, lastUsedAt, expiresAt, ...row }: SessionRow, currentId: string): SessionView {
  return {
    ...row,
    createdAt: createdAt.toISOString(),
    lastUsedAt: lastUsedAt.toISOString(),
    expiresAt: expiresAt.toISOString(),
    current: row.id === currentId,
  }
}
