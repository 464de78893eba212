import type pg from 'pg'
import type { App } from '../../app.ts'
import { inTransaction } from '../../db/transaction.ts'
import { fail } from '../../errors.ts'
import type { Role } from '../../http/identity.ts'
import { forgetEnded } from '../../notify/channels/web-push/subscriptions.ts'
import { endSession } from './revoked-sessions.ts'
import { longestSession, type Session } from './session.ts'
import { hashRefreshToken, newRefreshToken } from './tokens.ts'

/** Seconds in which a token can be exchanged again, for example after a lost response or if two tabs send it at once. */
const AGAIN_SECONDS = 10

/**
 * Exchanges a refresh token for a new one. A token that returns later, or after its successor was used, is stolen:
 * either this use or the earlier one was the thief's. So the whole session is revoked (RFC 9700, section 4.14.2).
 * @throws {AppError} BAD_REFRESH_TOKEN, REFRESH_TOKEN_REUSED
 */
export async function refreshSession(app: App, refreshToken: string): Promise<Session> {
  const outcome = await inTransaction(app.pool, (client) => exchange(client, refreshToken, app.config.refreshTokenTtl))
  if ('session' in outcome) return outcome.session
  if (outcome.revoked) endSession(app, outcome.revoked)
  throw fail(outcome.code, 'Sign in again')
}

type Outcome = { session: Session } | { code: 'BAD_REFRESH_TOKEN' | 'REFRESH_TOKEN_REUSED'; revoked?: string }
type TokenRow = { userId: string; sessionId: string; role: Role; live: boolean }

/** Concurrent exchanges in one session wait for each other's lock. */
async function exchange(client: pg.ClientBase, refreshToken: string, ttl: number): Promise<Outcome> {
  const hash = hashRefreshToken(refreshToken)
  const { rows } = await client.query<TokenRow>(
    `select s.user_id as "userId", s.id as "sessionId", u.role,
       s.revoked_at is null and s.expires_at > now() and u.deleted_at is null
         and s.created_at + ${longestSession('u.role', '$2')} > now() as live
     from social.refresh_tokens t
     join social.sessions s on s.id = t.session_id
     join social.users u on u.id = s.user_id
     where t.token_hash = $1::bytea
     for update of t, s`,
    [hash, ttl],
  )
  const [token] = rows
  if (!token) return { code: 'BAD_REFRESH_TOKEN' }
  if (await isReused(client, hash)) return { code: 'REFRESH_TOKEN_REUSED', revoked: await revoke(client, token) }
  if (!token.live) return { code: 'BAD_REFRESH_TOKEN' }

  const successor = newRefreshToken()
  await client.query(
    `with used as (update social.refresh_tokens set used_at = now() where token_hash = $1::bytea and used_at is null),
          successor as (insert into social.refresh_tokens (token_hash, session_id, predecessor) values ($2::bytea, $3::bigint, $1::bytea))
     update social.sessions set last_used_at = now(),
       expires_at = least(now() + make_interval(secs => $4::int), created_at + ${longestSession('$5', '$4')})
     where id = $3::bigint`,
    [hash, hashRefreshToken(successor), token.sessionId, ttl, token.role],
  )
  const { userId, sessionId, role } = token
  return { session: { userId, sessionId, role, refreshToken: successor } }
}

/** A separate statement after the lock, so that it sees the changes of earlier exchanges. */
async function isReused(client: pg.ClientBase, hash: Buffer): Promise<boolean> {
  const { rows } = await client.query<{ reused: boolean }>(
    `select t.used_at is not null and (
       t.used_at < now() - make_interval(secs => $2::int)
       or exists (select from social.refresh_tokens s
                  where s.session_id = t.session_id and s.predecessor = t.token_hash and s.used_at is not null)) as reused
     from social.refresh_tokens t where t.token_hash = $1::bytea`,
    [hash, AGAIN_SECONDS],
  )
  return rows[0]?.reused !== false
}

async function revoke(client: pg.ClientBase, { sessionId, userId }: TokenRow): Promise<string | undefined> {
  const { rows } = await client.query<{ id: string }>(
    'update social.sessions set revoked_at = now() where id = $1::bigint and revoked_at is null returning id',
    [sessionId],
  )
  await forgetEnded(client, userId)
  return rows[0]?.id
}
