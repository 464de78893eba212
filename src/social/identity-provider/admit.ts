import { Value } from '@sinclair/typebox/value'
import type pg from 'pg'
import { isContentError } from '../../base/failure.ts'
import { inTransaction } from '../../db/transaction.ts'
import { AppError, fail } from '../../errors.ts'
import { type Identity, roleOf } from '../../http/identity.ts'
import { type ExternalUser, profileFields } from '../external-users/fields.ts'
import { writeExternalUsers } from '../external-users/write.ts'

/** Verified claims. Times are in seconds since 1970. `sub` is the external id. */
export type ProviderClaims = { sub: string; sid?: string; iat: number; exp: number; [claim: string]: unknown }

/** `sessionTtl`: seconds until a session ends after its latest token. */
type Options = { provision: boolean; sessionTtl: number }

type Admitted = Omit<Identity, 'expiresAt'>

/**
 * Returns the user and session of a verified token, and creates an unknown user unless that is disabled. Returns
 * SESSION_ENDED for a token issued before the user was deleted or the session revoked, and USER_NOT_PROVISIONED.
 */
export async function admit(pool: pg.Pool, claims: ProviderClaims, options: Options): Promise<Admitted | AppError> {
  const enter = () => inTransaction(pool, (client) => findSession(client, claims, options))
  const known = await enter()
  if (known !== 'unknown') return known
  if (!options.provision) return fail('USER_NOT_PROVISIONED', 'Create the user first with PUT /users/external')
  await provision(pool, claims)
  const made = await enter()
  return made === 'unknown' ? fail('SESSION_ENDED', 'The user was deleted') : made
}

async function findSession(
  client: pg.ClientBase,
  { sub, sid = '', iat, exp }: ProviderClaims,
  { sessionTtl }: Options,
): Promise<Admitted | AppError | 'unknown'> {
  if (await hasEnded(client, sub, iat)) return fail('SESSION_ENDED', 'The user was deleted')
  const { rows: users } = await client.query<{ id: string; role: string }>({
    name: 'lock_external_user',
    text: 'select id, role from social.users where external_id = $1 for key share',
    values: [sub],
  })
  const [user] = users
  if (!user) return 'unknown'
  // Locks first, so that a concurrent revocation ends before the next statement looks for it.
  await client.query({
    name: 'lock_provider_session',
    text: `select from social.sessions
           where user_id = $1::bigint and provider_sid = $2 and revoked_at is null for no key update`,
    values: [user.id, sid],
  })
  const { rows } = await client.query<{ id: string }>({
    name: 'enter_provider_session',
    text: enterSession,
    values: [user.id, sid, sessionTtl, exp, iat],
  })
  if (!rows[0]) return fail('SESSION_ENDED', 'Sign in again')
  return { userId: user.id, sessionId: rows[0].id, role: roleOf(user.role) }
}

async function hasEnded(client: pg.ClientBase, externalId: string, iat: number): Promise<boolean> {
  const { rowCount } = await client.query({
    name: 'ended_external_id',
    text: `select from social.ended_external_ids
           where hash = sha256(convert_to($1, 'utf8')) and ended_at >= to_timestamp($2::float8)`,
    values: [externalId, iat],
  })
  return rowCount !== 0
}

/**
 * SQL that starts or prolongs the session. It lasts as long as a session with refresh tokens, so that pushes to a browser
 * continue as long.
 */
const enterSession = `
  insert into social.sessions (user_id, provider_sid, expires_at)
  select $1::bigint, $2, greatest(now() + make_interval(secs => $3::int), to_timestamp($4::float8) + interval '1 minute')
  where not exists (
    select from social.sessions r
    where r.user_id = $1::bigint and r.provider_sid = $2 and r.revoked_at >= to_timestamp($5::float8))
  on conflict (user_id, provider_sid) where provider_sid is not null and revoked_at is null
  do update set expires_at = greatest(sessions.expires_at, excluded.expires_at), last_used_at = now()
  returning id`

/** Creates the user from as many claims as possible. The provider has verified them and is not asked again. */
async function provision(pool: pg.Pool, claims: ProviderClaims): Promise<void> {
  let profile = profileOf(claims)
  for (;;)
    try {
      await writeExternalUsers(pool, [{ externalId: claims.sub, ...profile }])
      return
    } catch (error) {
      const isContent = error instanceof AppError ? error.status < 500 : isContentError(error)
      if (!isContent || Object.keys(profile).length === 0) throw error
      profile = withoutRefused(profile, error)
    }
}

type Profile = Omit<ExternalUser, 'externalId'>

const REFUSED: Record<string, string> = { USERNAME_TAKEN: 'username', EMAIL_TAKEN: 'email', BAD_TIME_ZONE: 'timeZone' }

/** Drops the field that the error is about, or all fields if it names none of them. */
function withoutRefused(profile: Profile, error: unknown): Profile {
  const refused = error instanceof AppError ? (REFUSED[error.code] ?? error.pointer.slice(1)) : ''
  const rest = Object.entries(profile).filter(([name]) => name !== refused)
  return rest.length < Object.keys(profile).length ? Object.fromEntries(rest) : {}
}

/** The valid standard claims of OpenID Connect (Core 1.0, 5.1) in a token. */
function profileOf(claims: Record<string, unknown>): Profile {
  const given: Record<keyof Profile, unknown> = {
    username: usernameOf(claims.preferred_username ?? claims.nickname),
    displayName: claims.name,
    email: claims.email,
    emailVerified: claims.email_verified,
    avatarUrl: claims.picture,
    locale: typeof claims.locale === 'string' ? claims.locale.replaceAll('_', '-') : undefined,
    timeZone: claims.zoneinfo,
  }
  return Object.fromEntries(
    Object.entries(given).filter(
      ([name, value]) =>
        value !== null && value !== undefined && Value.Check(profileFields[name as keyof Profile], value),
    ),
  )
}

/**
 * Makes a username from the claims. Drops characters that usernames cannot contain, and ignores mail addresses, because
 * usernames are public.
 */
function usernameOf(name: unknown): string | undefined {
  if (typeof name !== 'string' || name.includes('@')) return undefined
  return name
    .toLowerCase()
    .replace(/[^a-z0-9_]+/g, '_')
    .slice(0, 30)
}
