import type pg from 'pg'
import { isContentError } from '../../base/failure.ts'
import { inTransaction } from '../../db/transaction.ts'
import { AppError, fail } from '../../errors.ts'
import type { Identity } from '../../http/identity.ts'
import { writeExternalUsers } from '../external-users/write.ts'
import { profileOf } from './profile.ts'

/** Verified claims; times in seconds since 1970. `sub` is the external id. */
export type ProviderClaims = { sub: string; sid?: string; iat: number; exp: number; [claim: string]: unknown }

/** `sessionTtl`: seconds that a session lasts after its latest token. */
type Options = { provision: boolean; sessionTtl: number }

type Admitted = Omit<Identity, 'expiresAt'>

/**
 * The user and the session of a verified token; a user who is not known is made, unless that is off.
 * Returns SESSION_ENDED for a token of before the user was deleted or the session revoked, and USER_NOT_PROVISIONED.
 */
export async function admit(pool: pg.Pool, claims: ProviderClaims, options: Options): Promise<Admitted | AppError> {
  const enter = () => inTransaction(pool, (client) => findSession(client, claims, options))
  const known = await enter()
  if (known !== 'unknown') return known
  if (!options.provision) return fail('USER_NOT_PROVISIONED', 'Make the user by PUT /users/external first')
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
  // Locked first: a revocation under way ends before the next statement looks for it.
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
  return { userId: user.id, sessionId: rows[0].id, role: user.role === 'admin' ? 'admin' : 'user' }
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

/** Lasts as long as a session by refresh tokens does after its latest one, so that a browser is pushed to for as long. */
const enterSession = `
  insert into social.sessions (user_id, provider_sid, expires_at)
  select $1::bigint, $2, greatest(now() + make_interval(secs => $3::int), to_timestamp($4::float8) + interval '1 minute')
  where not exists (
    select from social.sessions r
    where r.user_id = $1::bigint and r.provider_sid = $2 and r.revoked_at >= to_timestamp($5::float8))
  on conflict (user_id, provider_sid) where provider_sid is not null and revoked_at is null
  do update set expires_at = greatest(sessions.expires_at, excluded.expires_at), last_used_at = now()
  returning id`

/** What the token says of the user is taken as far as it can be: the provider has checked it, and is not asked again. */
async function provision(pool: pg.Pool, claims: ProviderClaims): Promise<void> {
  const externalId = claims.sub
  const { username, email, emailVerified, ...rest } = profileOf(claims)
  const attempts = [
    { externalId, username, email, emailVerified, ...rest },
    { externalId, username, ...rest },
    { externalId, ...rest },
    { externalId },
  ]
  for (const [index, user] of attempts.entries())
    try {
      await writeExternalUsers(pool, [user])
      return
    } catch (error) {
      const isContent = error instanceof AppError ? error.status < 500 : isContentError(error)
      if (index === attempts.length - 1 || !isContent) throw error
    }
}
