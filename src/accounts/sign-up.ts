import type { App } from '../app.ts'
import { fail } from '../errors.ts'
import { refuseCommonPassword } from './common-passwords.ts'
import { hashPassword } from './passwords.ts'
import type { Session } from './session.ts'
import { hashRefreshToken, newRefreshToken, type Role } from './tokens.ts'

export type NewUser = {
  username: string
  email: string
  password: string
  displayName: string | undefined
  role?: Role
}

/** A user deleted later is renamed to this and the id, so nobody may hold such a name. */
const RESERVED_PREFIX = 'deleted_'

/**
 * Makes the account, its inbox and its first session in one statement; where mail is sent, a mail asks for its address. The name
 * must not look like any that is reserved, in use, or was in use.
 * @throws {AppError} PASSWORD_TOO_COMMON, USERNAME_TAKEN, EMAIL_TAKEN
 */
export async function signUp({ pool, config }: App, user: NewUser, userAgent: string): Promise<Session> {
  if (user.username.startsWith(RESERVED_PREFIX)) throw fail('USERNAME_TAKEN')
  await refuseCommonPassword(user.password, user)
  const refreshToken = newRefreshToken()
  const role = user.role ?? 'user'
  const values = [
    user.username,
    user.email,
    await hashPassword(user.password),
    user.displayName ?? user.username,
    role,
    userAgent,
    config.refreshTokenTtl,
    hashRefreshToken(refreshToken),
    config.smtp !== null,
  ]
  try {
    const { rows } = await pool.query<{ userId: string; sessionId: string }>({
      name: 'sign_up',
      text: insertUser,
      values,
    })
    const [row] = rows
    if (!row) throw fail('USERNAME_TAKEN')
    return { ...row, role, refreshToken }
  } catch (error) {
    if (violates(error, 'username_taken')) throw fail('USERNAME_TAKEN', undefined, { cause: error })
    if (violates(error, 'email_taken')) throw fail('EMAIL_TAKEN', undefined, { cause: error })
    throw error
  }
}

const insertUser = `
  with n as (
    insert into social.taken_names (look) values (social.name_look($1)) on conflict do nothing returning look
  ), u as (
    insert into social.users (username, email, password_hash, display_name, role) select $1, $2, $3, $4, $5 from n returning id
  ), i as (
    insert into notify.inbox (user_id) select id from u
  ), s as (
    insert into social.sessions (user_id, user_agent, expires_at)
    select id, $6, now() + make_interval(secs => $7::int) from u returning id, user_id
  ), t as (
    insert into social.refresh_tokens (token_hash, session_id) select $8::bytea, id from s
  ), m as (
    insert into notify.deliveries (user_id, notification_id, channel, target, grown_modseq, due_at)
    select id, 0, 'email', 'primary', 0, now() from u where $9::boolean
  )
  select user_id as "userId", id as "sessionId" from s`

/** unique_violation of this constraint or index. */
function violates(error: unknown, constraint: string): boolean {
  return (
    error instanceof Error &&
    'code' in error &&
    error.code === '23505' &&
    'constraint' in error &&
    error.constraint === constraint
  )
}
