import { createHash, randomBytes } from 'node:crypto'
import type pg from 'pg'
import { RateLimiterMemory } from 'rate-limiter-flexible'
import type { App } from '../../app.ts'
import { scaledLimit } from '../../config.ts'
import { fail } from '../../errors.ts'
import type { Service } from '../../http/identity.ts'

const PREFIX = 'rp_'

/** Creates a token of 256 random bits. Secret scanners detect leaked tokens by the prefix. Only the hash is stored. */
export function newServiceToken(): { token: string; hash: Buffer } {
  const token = PREFIX + randomBytes(32).toString('base64url')
  return { token, hash: hashOf(token) }
}

/** Maximum number of wrong tokens per address and minute, times RATE_LIMIT_SCALE. */
const WRONG_PER_MINUTE = 60
const WINDOW_SECONDS = 60

/**
 * Looks up tokens. Each address has a limit of wrong tokens. Beyond it, tokens that were never valid in this process
 * are refused from memory. So guessing does not load the database, and services behind the same address continue. The
 * returned function @throws {AppError} RATE_LIMITED
 */
export function createServiceLookup({ pool, config }: Pick<App, 'pool' | 'config'>) {
  const points = scaledLimit(config, WRONG_PER_MINUTE)
  const wrong = new RateLimiterMemory({ points, duration: WINDOW_SECONDS })
  const right = new Set<string>()
  return async (token: string, network: string): Promise<Service | null> => {
    if (!token.startsWith(PREFIX)) return null
    const counted = await wrong.get(network)
    if (counted && counted.consumedPoints >= points && !right.has(token))
      throw fail('RATE_LIMITED', 'Too many wrong tokens', {
        retryAfter: Math.min(WINDOW_SECONDS, Math.ceil(counted.msBeforeNext / 1000)),
      })
    const service = await findService(pool, token)
    if (service) right.add(token)
    else {
      right.delete(token)
      await wrong.penalty(network)
    }
    return service
  }
}

/**
 * Finds the service of a token. Null if the token is unknown or revoked. Queries the database each time, so that a revocation
 * takes effect at once.
 */
async function findService(pool: pg.Pool, token: string): Promise<Service | null> {
  const { rows } = await pool.query<Service>({
    name: 'find_service',
    text: `select id as "tokenId", scopes from social.service_tokens where token_hash = $1 and revoked_at is null`,
    values: [hashOf(token)],
  })
  return rows[0] ?? null
}

function hashOf(token: string): Buffer {
  return createHash('sha256').update(token).digest()
}
