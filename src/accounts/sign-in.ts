import type { App } from '../app.ts'
import { fail } from '../errors.ts'
import { rejectedSignIns } from '../ops/metrics.ts'
import { passwordFits } from './passwords.ts'
import type { Session } from './session.ts'
import { hashRefreshToken, newRefreshToken, type Role } from './tokens.ts'

/**
 * Starts a session for whoever has this username or address, and password; where mail is sent, an address that nobody showed
 * to be theirs is asked for again.
 * @throws {AppError} BAD_CREDENTIALS, the same whatever was wrong and after the same work
 */
export async function signIn(
  { pool, config }: App,
  login: string,
  password: string,
  userAgent: string,
): Promise<Session> {
  const { rows: users } = await pool.query<{ id: string; passwordHash: string }>({
    name: 'find_login',
    text: `select id, password_hash as "passwordHash" from social.users
      where (username = $1 or lower(email) = lower($1)) and deleted_at is null`,
    values: [login],
  })
  const fits = await passwordFits(users[0]?.passwordHash, password)
  const refreshToken = newRefreshToken()
  const { rows } = await pool.query<{ userId: string; sessionId: string; role: Role }>({
    name: 'start_session',
    text: insertSession,
    values: [
      fits ? users[0]?.id : null,
      userAgent,
      config.refreshTokenTtl,
      hashRefreshToken(refreshToken),
      config.smtp !== null,
    ],
  })
  if (!rows[0]) {
    rejectedSignIns.inc()
    throw fail('BAD_CREDENTIALS')
  }
  return { ...rows[0], refreshToken }
}

/**
 * The lock makes a deletion of the user under way end first; then there is no row. The mail that asks is queued again when
 * the link of the last one ran out, or none was sent because mail was not configured: as another mail, whose id, which is
 * made of grown_modseq, no mailbox and no digest has.
 */
const insertSession = `
  with u as (
    select id, role, email_verified_at from social.users where id = $1::bigint and deleted_at is null for key share
  ), s as (
    insert into social.sessions (user_id, user_agent, expires_at)
    select id, $2, now() + make_interval(secs => $3::int) from u returning id
  ), t as (
    insert into social.refresh_tokens (token_hash, session_id) select $4::bytea, id from s
  ), m as (
    insert into notify.deliveries as d (user_id, notification_id, channel, target, grown_modseq, due_at)
    select id, 0, 'email', 'primary', -(1000 * extract(epoch from now()))::bigint, now() from u where $5::boolean and email_verified_at is null
    on conflict (user_id, notification_id, channel, target) do update
    set state = 'queued', reason = null, last_error = null, attempts = 0, send_id = null, grown_modseq = excluded.grown_modseq,
      due_at = excluded.due_at, updated_at = now()
    where d.due_at is null and (d.state = 'skipped' or d.updated_at < now() - interval '7 days')
  )
  select u.id as "userId", s.id as "sessionId", u.role from u, s`
