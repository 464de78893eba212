import { createHash, randomBytes } from 'node:crypto'
import fastifyJwt from '@fastify/jwt'
import { Type } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import { fastify } from 'fastify'
import { type Kysely, sql } from 'kysely'
import type { Config } from '../../config.ts'
import type { DB } from '../../db/tables.ts'
import { fail } from '../../errors.ts'
import { type Identity, Role, type Sessions } from '../../http/identity.ts'
import type { IdentityProvider } from '../identity-provider/provider.ts'

const Claims = Type.Object({
  sub: Type.String(),
  sid: Type.String(),
  role: Role,
  iat: Type.Integer(),
  exp: Type.Integer(),
})
const claims = TypeCompiler.Compile(Claims)

/** A JWT (RFC 7519) signed with HS256, valid for `accessTokenTtl` seconds. */
export function signAccessToken(
  config: Pick<Config, 'jwtSecret' | 'accessTokenTtl'>,
  { userId, sessionId, role }: Omit<Identity, 'expiresAt'>,
): string {
  const exp = Math.floor(Date.now() / 1000) + config.accessTokenTtl
  return keysOf(config.jwtSecret).jwt.sign({ sub: userId, sid: sessionId, role, exp })
}

/**
 * Verifies a token. Null if it is malformed, forged, expired, of another kind, or has a longer lifetime than the current one,
 * because revoked sessions are remembered only that long. Does not look up the session; see `sessionIsLive`.
 */
export function verifyAccessToken(config: Config, token: string): Identity | null {
  const keys = keysFor(config, token)
  const known = keys && (keys.verified.get(token) ?? verify(keys, token))
  if (!known || known.identity.expiresAt <= Date.now() || known.livesSeconds > config.accessTokenTtl) return null
  return known.identity
}

function verify(keys: Keys, token: string): Verified | undefined {
  const payload = payloadOf(keys, token)
  if (!claims.Check(payload)) return undefined
  const { sub: userId, sid: sessionId, role, iat, exp } = payload
  const verified = { identity: { userId, sessionId, role, expiresAt: exp * 1000 }, livesSeconds: exp - iat }
  keep(keys.verified, token, verified)
  return verified
}

/**
 * Checks a session. False when it was revoked or has expired, or its user was deleted. Its access token may still be
 * valid.
 */
export async function sessionIsLive(db: Kysely<DB>, sessionId: string): Promise<boolean> {
  const { rows } = await sql`
    select from social.sessions where id = ${sessionId}::bigint and revoked_at is null and expires_at > now()
  `.execute(db)
  return rows.length > 0
}

/** Verifies our own tokens directly. The identity provider, if configured, checks all others. */
export function createSessions(config: Config, provider: IdentityProvider | null = null): Sessions {
  const identify: Sessions['identify'] = (token) =>
    verifyAccessToken(config, token) ?? (provider && isJwt(token) ? provider.identify(token) : notSignedIn())
  return { identify, isLive: sessionIsLive }
}

const isJwt = (token: string) => /^[\w-]+\.[\w-]+\.[\w-]+$/.test(token)

const notSignedIn = () => fail('UNAUTHENTICATED', 'Sign in or refresh, then send Authorization: Bearer <access token>')

/** Creates a refresh token of 256 random bits. Only its hash is stored. */
export function newRefreshToken(): string {
  return randomBytes(32).toString('base64url')
}

export function hashRefreshToken(token: string): Buffer {
  return createHash('sha256').update(token).digest()
}

/** Maximum number of verified tokens in memory. */
const VERIFIED_KEPT = 10_000

type Verified = { identity: Identity; livesSeconds: number }
type Keys = { header: string; jwt: fastifyJwt.JWT; verified: Map<string, Verified> }
const keysBySecret = new Map<string, Keys>()

/** RFC 8725, sections 3.8 to 3.11: other tokens signed with the same secret are not accepted as ours. */
const ISSUER = 'ravenpost'
const AUDIENCE = 'ravenpost'
/** RFC 9068, section 2.1. */
const TYPE = 'at+jwt'

function keysOf(secret: string): Keys {
  const known = keysBySecret.get(secret)
  if (known) return known
  const kid = createHash('sha256').update(`kid:${secret}`).digest('base64url').slice(0, 8)
  const jwt = createJwt({
    secret,
    sign: { algorithm: 'HS256', header: { alg: 'HS256', typ: TYPE, kid }, iss: ISSUER, aud: AUDIENCE },
    verify: {
      algorithms: ['HS256'],
      allowedIss: ISSUER,
      allowedAud: AUDIENCE,
      requiredClaims: ['iss', 'aud', 'iat', 'exp'],
    },
  })
  const keys = { header: headerOf(jwt.sign({})), jwt, verified: new Map() }
  keysBySecret.set(secret, keys)
  return keys
}

/** Creates an instance of Fastify's plugin, one per secret. Every role verifies tokens, even without an HTTP API. */
function createJwt(options: fastifyJwt.FastifyJWTOptions): fastifyJwt.JWT {
  const instance = fastify()
  fastifyJwt(instance, options, (error) => {
    if (error) throw error
  })
  return instance.jwt
}

/** Returns the keys for a token. Requires exactly our header, which fixes algorithm, type and key before anything is parsed. */
function keysFor({ jwtSecret, jwtSecretPrevious }: Config, token: string): Keys | undefined {
  const secrets = jwtSecretPrevious ? [jwtSecret, jwtSecretPrevious] : [jwtSecret]
  return secrets.map(keysOf).find(({ header }) => header === headerOf(token))
}

function payloadOf(keys: Keys, token: string): unknown {
  try {
    return keys.jwt.verify(token)
  } catch {
    return null
  }
}

/**
 * Drops the oldest token when full. The key is the token itself: the library's cache hashes it, which costs as much as
 * the verification.
 */
function keep(verified: Map<string, Verified>, token: string, seen: Verified): void {
  const [oldest] = verified.size < VERIFIED_KEPT ? [] : verified.keys()
  if (oldest !== undefined) verified.delete(oldest)
  verified.set(token, seen)
}

function headerOf(token: string): string {
  return token.slice(0, token.indexOf('.'))
}
