import type { App } from '../../app.ts'
import { violates } from '../../base/failure.ts'
import { fail } from '../../errors.ts'
import type { Role } from '../../http/identity.ts'
import { refuseCommonPassword } from '../passwords/common-passwords.ts'
import { networkHash } from '../passwords/failed-sign-ins.ts'
import { hashPassword, shareOf } from '../passwords/passwords.ts'
import type { Device, Session } from '../sessions/session.ts'
import { hashRefreshToken, newRefreshToken } from '../sessions/tokens.ts'

export type NewUser = {
  username: string
  email: string
  password: string
  displayName: string | undefined
  role?: Role
}

/** Deletion renames a user to this prefix and the id, so no one may choose such a name. */
export const isReserved = (username: string) => username.startsWith('deleted_')

/**
 * Creates the account, its inbox and its first session in one statement. The name must not look like a reserved,
 * current or former name.
 * @throws {AppError} PASSWORD_TOO_COMMON, USERNAME_TAKEN, EMAIL_TAKEN
 */
export async function signUp(app: App, user: NewUser, device: Device): Promise<Session> {
  const { pool, config } = app
  if (isReserved(user.username)) throw fail('USERNAME_TAKEN')
  await refuseCommonPassword(user.password, user)
  if (await isAddressTaken(app, user.email)) throw fail('EMAIL_TAKEN')
  const refreshToken = newRefreshToken()
  const role = user.role ?? 'user'
  const values = [
    user.username,
    user.email,
    await hashPassword(user.password, shareOf(app, device.ip)),
    user.displayName ?? user.username,
    role,
    device.userAgent,
    config.refreshTokenTtl,
    hashRefreshToken(refreshToken),
    networkHash(config, device.ip),
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
    throw error
  }
}

/** True only if another user verified the address. An unverified claim does not block others. */
export async function isAddressTaken({ pool }: App, email: string, ownId: string | null = null): Promise<boolean> {
  const { rows } = await pool.query({
    name: 'is_address_taken',
    text: `select from social.users
           where lower(email) = lower($1) and email_verified_at is not null and id is distinct from $2::bigint`,
    values: [email, ownId],
  })
  return rows.length > 0
}

const insertUser = `
  with n as (
    insert into social.taken_names (look) values (social.name_look($1)) on conflict do nothing returning look
  ), u as (
    insert into social.users (username, email, password_hash, display_name, role) select $1, $2, $3, $4, $5 from n returning id
  ), i as (
    insert into notify.inbox (user_id) select id from u
  ), s as (
    insert into social.sessions (user_id, user_agent, expires_at, network)
    select id, $6, now() + make_interval(secs => $7::int), $9::bytea from u returning id, user_id
  ), t as (
    insert into social.refresh_tokens (token_hash, session_id) select $8::bytea, id from s
  )
  select user_id as "userId", id as "sessionId" from s`
