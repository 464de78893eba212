import type { App } from '../../app.ts'
import { rejectedSignIns } from '../../base/metrics.ts'
import { fail } from '../../errors.ts'
import type { Role } from '../../http/identity.ts'
import { isHash } from '../passwords/confirm-password.ts'
import { networkHash, type SignInLimit } from '../passwords/failed-sign-ins.ts'
import { isKnown, namedByLogin } from '../passwords/login.ts'
import { passwordFits, shareOf } from '../passwords/passwords.ts'
import { type Device, longestSession, type Session } from '../sessions/session.ts'
import { hashRefreshToken, newRefreshToken } from '../sessions/tokens.ts'
import { isToBeAsked } from './address-mails.ts'

type Attempt = { login: string; password: string; device: Device; limitFailures: SignInLimit }
type Candidate = { id: string; passwordHash: string; known: boolean; email: string; asked: boolean }
/** `login` is the given one in lower case; the rest is null when it identifies no account. */
type Found = { login: string } & (Candidate | { [property in keyof Candidate]: null })
/** `ask`: the unverified address that needs another mail, if mail is configured. */
export type SignedIn = Session & { ask: { email: string } | undefined }

/**
 * Starts a session for the user with this password and this username or address.
 * @throws {AppError} BAD_CREDENTIALS, the same for every cause and after the same work; RATE_LIMITED
 */
export async function signIn(app: App, { login, password, device, limitFailures }: Attempt): Promise<SignedIn> {
  const { pool, config } = app
  const network = networkHash(config, device.ip)
  const { rows } = await pool.query<Found>({ name: 'find_login', text: findLogin, values: [login, network] })
  const [found] = rows
  if (!found) throw new Error('find_login returns one row')
  const { id, passwordHash: stored, known } = found
  const guess = { login: found.login, userId: id ?? undefined, fromKnownNetwork: known ?? false }
  const { refused, succeeded } = await limitFailures(guess)
  const fits = await passwordFits(isHash(stored) && !refused ? stored : undefined, password, shareOf(app, device.ip))
  const verified = fits && id !== null && stored !== null ? { userId: id, passwordHash: stored } : undefined
  const session = await startSession(app, verified, device)
  if (!session) {
    rejectedSignIns.inc()
    throw fail('BAD_CREDENTIALS')
  }
  await succeeded()
  return { ...session, ask: found.asked ? { email: found.email } : undefined }
}

/** `passwordHash`: the one that the password was verified against. Null when no password was needed. */
type Authenticated = { userId: string; passwordHash: string | null }

/**
 * Starts a session for an authenticated user. Undefined, after the same work, when the user no longer exists or the
 * password has changed in the meantime.
 */
export async function startSession(
  { pool, config }: App,
  user: Authenticated | undefined,
  device: Device,
): Promise<Session | undefined> {
  const refreshToken = newRefreshToken()
  const { rows } = await pool.query<{ userId: string; sessionId: string; role: Role }>({
    name: 'start_session',
    text: insertSession,
    values: [
      user?.userId,
      device.userAgent,
      config.refreshTokenTtl,
      hashRefreshToken(refreshToken),
      networkHash(config, device.ip),
      user?.passwordHash ?? null,
    ],
  })
  return rows[0] && { ...rows[0], refreshToken }
}

const findLogin = `
  select lower($1) as login, found.* from (values (1)) as one_row left join lateral (
    select u.id, u.password_hash as "passwordHash", u.email, ${isToBeAsked} as asked, ${isKnown} as known ${namedByLogin}
  ) found on true`

/**
 * The lock waits for a concurrent deletion of the user or change of the password. Then there is no row. The change ends
 * the sessions that were inserted before.
 */
const insertSession = `
  with u as (
    select id, role from social.users where id = $1::bigint and deleted_at is null and ($6::text is null or password_hash = $6) for share
  ), s as (
    insert into social.sessions (user_id, user_agent, expires_at, network)
    select id, $2, now() + least(make_interval(secs => $3::int), ${longestSession('role', '$3')}), $5::bytea from u returning id
  ), t as (
    insert into social.refresh_tokens (token_hash, session_id) select $4::bytea, id from s
  )
  select u.id as "userId", s.id as "sessionId", u.role from u, s`
