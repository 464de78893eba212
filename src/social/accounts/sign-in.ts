import type { App } from '../../app.ts'
import { rejectedSignIns } from '../../base/metrics.ts'
import { fail } from '../../errors.ts'
import type { Role } from '../../http/identity.ts'
import { isHash } from '../passwords/confirm-password.ts'
import { type FailureLimit, networkHash } from '../passwords/failed-sign-ins.ts'
import { isKnown, namedByLogin } from '../passwords/login.ts'
import { passwordFits, shareOf } from '../passwords/passwords.ts'
import { type Device, longestSession, type Session } from '../sessions/session.ts'
import { hashRefreshToken, newRefreshToken } from '../sessions/tokens.ts'
import { isToBeAsked } from './address-mails.ts'

type Attempt = { login: string; password: string; device: Device; limitFailures: FailureLimit }
type Candidate = { id: string; passwordHash: string; known: boolean; email: string; asked: boolean }
/** `ask`: the unverified address that needs another mail, if mail is configured. */
export type SignedIn = Session & { ask: { email: string } | undefined }

/**
 * Starts a session for the user with this password and this username or address.
 * @throws {AppError} BAD_CREDENTIALS, the same for every cause and after the same work; RATE_LIMITED
 */
export async function signIn(app: App, { login, password, device, limitFailures }: Attempt): Promise<SignedIn> {
  const { pool, config } = app
  const network = networkHash(config, device.ip)
  const { rows: users } = await pool.query<Candidate>({ name: 'find_login', text: findLogin, values: [login, network] })
  const succeeded = await limitFailures(login, users[0]?.known ?? false)
  const stored = users[0]?.passwordHash
  const fits = await passwordFits(isHash(stored) ? stored : undefined, password, shareOf(app, device.ip))
  const session = await startSession(app, fits ? users[0]?.id : undefined, device)
  if (!session) {
    rejectedSignIns.inc()
    throw fail('BAD_CREDENTIALS')
  }
  await succeeded()
  return { ...session, ask: users[0]?.asked ? { email: users[0].email } : undefined }
}

/** Starts a session for an authenticated user. Undefined when the user no longer exists, after the same work. */
export async function startSession(
  { pool, config }: App,
  userId: string | undefined,
  device: Device,
): Promise<Session | undefined> {
  const refreshToken = newRefreshToken()
  const { rows } = await pool.query<{ userId: string; sessionId: string; role: Role }>({
    name: 'start_session',
    text: insertSession,
    values: [
      userId,
      device.userAgent,
      config.refreshTokenTtl,
      hashRefreshToken(refreshToken),
      networkHash(config, device.ip),
    ],
  })
  return rows[0] && { ...rows[0], refreshToken }
}

const findLogin = `
  select u.id, u.password_hash as "passwordHash", u.email, ${isToBeAsked} as asked, ${isKnown} as known ${namedByLogin}`

/** The lock waits for a concurrent deletion of the user. Then there is no row. */
const insertSession = `
  with u as (
    select id, role from social.users where id = $1::bigint and deleted_at is null for key share
  ), s as (
    insert into social.sessions (user_id, user_agent, expires_at, network)
    select id, $2, now() + least(make_interval(secs => $3::int), ${longestSession('role', '$3')}), $5::bytea from u returning id
  ), t as (
    insert into social.refresh_tokens (token_hash, session_id) select $4::bytea, id from s
  )
  select u.id as "userId", s.id as "sessionId", u.role from u, s`
