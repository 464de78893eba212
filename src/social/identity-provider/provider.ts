import { Type } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import { errors, type JWTVerifyGetKey, type JWTVerifyResult, jwtVerify } from 'jose'
import type pg from 'pg'
import type { Logger } from 'pino'
import type { Config } from '../../config.ts'
import { AppError, fail } from '../../errors.ts'
import type { Identity } from '../../http/identity.ts'
import { admit, type ProviderClaims } from './admit.ts'
import { createKeys, KeysUnavailable } from './keys.ts'

const SECOND = 1000
/** Maximum difference between the clocks of the provider and the server. */
const CLOCK_SKEW_SECONDS = 30
/** Accepted algorithms (RFC 7518, RFC 8037). Never a symmetric one, because the keys are public. */
const ALGORITHMS = ['RS256', 'ES256', 'EdDSA']
/** Accepted values of `typ`: that of RFC 9068, and those of other providers. */
const TYPES = new Set([undefined, 'JWT', 'at+jwt', 'application/at+jwt'])
/** Maximum number of verified tokens in memory. */
const KNOWN_TOKENS = 10_000

const Claims = TypeCompiler.Compile(
  Type.Object({
    sub: Type.String({ minLength: 1, maxLength: 255 }),
    sid: Type.Optional(Type.String({ maxLength: 255 })),
    iat: Type.Number(),
    exp: Type.Number(),
  }),
)

/** Identifies users by access tokens of another issuer. */
export type IdentityProvider = { identify(token: string): Promise<Identity | AppError> }

type Settings = NonNullable<Config['identityProvider']>
type Known = { identity: Identity; until: number }
type Context = { pool: pg.Pool; log: Logger; config: Config }

/**
 * Verifies access tokens with the provider's keys and creates unknown users. Each user gets a session, so that
 * revocation, push subscriptions and sockets work as with our own tokens. A verified token is cached, but not longer
 * than revoked sessions are remembered.
 */
export function createIdentityProvider({ pool, log, config }: Context, settings: Settings): IdentityProvider {
  const keys: JWTVerifyGetKey =
    'jwksUrl' in settings ? createKeys(settings.jwksUrl, log) : async () => settings.publicKey.key
  const algorithms = 'jwksUrl' in settings ? ALGORITHMS : [settings.publicKey.algorithm]
  const known = new Map<string, Known>()
  const running = new Map<string, Promise<Identity | AppError>>()

  async function identify(token: string): Promise<Identity | AppError> {
    const claims = await verify(token, keys, { ...settings, algorithms })
    if (claims instanceof AppError) return claims
    const user = await admit(pool, claims, { provision: settings.provision, sessionTtl: config.refreshTokenTtl })
    if (user instanceof AppError) return user
    const expiresAt = (claims.exp + CLOCK_SKEW_SECONDS) * SECOND
    const identity = { ...user, expiresAt }
    remember(known, token, { identity, until: Math.min(expiresAt, Date.now() + config.accessTokenTtl * SECOND) })
    return identity
  }

  return {
    async identify(token) {
      const found = known.get(token)
      if (found && found.until > Date.now()) return found.identity
      // A page that loads sends its token with several requests at once.
      const started = running.get(token) ?? identify(token).finally(() => running.delete(token))
      running.set(token, started)
      return started
    },
  }
}

type Expected = { issuer: string; audience: string; algorithms: string[] }

async function verify(token: string, keys: JWTVerifyGetKey, expected: Expected): Promise<ProviderClaims | AppError> {
  let result: JWTVerifyResult
  try {
    result = await jwtVerify(token, keys, {
      ...expected,
      clockTolerance: CLOCK_SKEW_SECONDS,
      requiredClaims: ['sub', 'iat', 'exp'],
    })
  } catch (error) {
    return refusalOf(error)
  }
  const { payload, protectedHeader } = result
  if (!TYPES.has(protectedHeader.typ)) return refused(`it is a ${protectedHeader.typ}, not an access token`)
  if (!Claims.Check(payload)) return refused('its claims sub, sid, iat and exp are not of the usual form')
  if (payload.iat > Date.now() / SECOND + CLOCK_SKEW_SECONDS) return refused('it was issued in the future')
  return payload
}

function refusalOf(error: unknown): AppError {
  if (error instanceof KeysUnavailable || error instanceof errors.JWKSTimeout)
    return fail('IDENTITY_PROVIDER_UNAVAILABLE', 'The keys of the identity provider cannot be read; try again', {
      retryAfter: error instanceof KeysUnavailable ? error.retryAfter : 1,
      cause: error,
    })
  if (error instanceof errors.JWKSNoMatchingKey) return refused('the identity provider has no such key')
  if (error instanceof errors.JWKSMultipleMatchingKeys) return refused('it does not say which key signed it (kid)')
  return refused(error instanceof errors.JOSEError ? error.message : 'its key cannot be used')
}

const refused = (why: string) => fail('UNAUTHENTICATED', `The access token is not valid: ${why}`)

/** Drops the oldest entry when the cache is full. */
function remember(known: Map<string, Known>, token: string, found: Known): void {
  const [oldest] = known.size < KNOWN_TOKENS ? [] : known.keys()
  if (oldest !== undefined) known.delete(oldest)
  known.delete(token)
  known.set(token, found)
}
