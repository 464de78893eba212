import { isIPv6 } from 'node:net'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { type RateLimiterAbstract, RateLimiterMemory, RateLimiterPostgres, RateLimiterRes } from 'rate-limiter-flexible'
import type { App } from '../app.ts'
import { scaledLimit } from '../config.ts'
import { fail } from '../errors.ts'

const MINUTE_SECONDS = 60

type Policy = {
  perMinute: number
  of: 'user' | 'address'
  shared?: true
  /**
   * Limit for all addresses of an IPv6 /48, which hosters give to one customer. It contains 65,536 counted addresses
   * (/64).
   */
  perMinuteOfWide?: number
}

/**
 * Requests per minute, times RATE_LIMIT_SCALE. `shared` ones are counted in PostgreSQL for all processes, so that more
 * processes do not allow more password guesses or sign-ups. Others are counted per process, so that ordinary requests
 * write nothing.
 */
export const policies = {
  user: { perMinute: 600, of: 'user' },
  address: { perMinute: 60, of: 'address' },
  'sign-in': { perMinute: 10, of: 'address', shared: true, perMinuteOfWide: 60 },
  'sign-up': { perMinute: 10, of: 'address', shared: true, perMinuteOfWide: 60 },
  'account-mail': { perMinute: 10, of: 'address', shared: true, perMinuteOfWide: 60 },
  admin: { perMinute: 120, of: 'user', shared: true },
  /** A page shows dozens of pictures, and videos are fetched in ranges, both without a token. */
  media: { perMinute: 600, of: 'address' },
  upload: { perMinute: 30, of: 'user' },
  /** Two per minute, because an export reads all data of a user. */
  export: { perMinute: 2, of: 'user' },
} as const satisfies Record<string, Policy>

type PolicyName = keyof typeof policies

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The policy for this route instead of `user` or `address`; `off` disables counting. */
    rateLimit?: PolicyName | 'off'
  }
}

/**
 * Counts every request, reports the rest in `RateLimit` (draft-ietf-httpapi-ratelimit-headers), and answers 429 when
 * the limit is exceeded.
 */
export function limitRates(server: FastifyInstance, app: App): void {
  const limiters = new Map(Object.entries(policies).map(([name, policy]) => [name, createLimiter(app, name, policy)]))
  const wide = new Map(
    Object.entries<Policy>(policies).flatMap(([name, { perMinuteOfWide }]) =>
      perMinuteOfWide
        ? [[name, createSharedLimiter(app, `${name}-48`, scaledLimit(app.config, perMinuteOfWide), MINUTE_SECONDS)]]
        : [],
    ),
  )
  server.addHook('onRequest', async (request, reply) => {
    const name = policyOf(request)
    const limiter = name && limiters.get(name)
    if (!limiter) return
    const { allowed, left } = await consume(limiter, keyOf(request, policies[name].of))
    const seconds = Math.max(1, Math.ceil(left.msBeforeNext / 1000))
    reply.header('ratelimit-policy', `"${name}";q=${limiter.points};w=${limiter.duration}`)
    reply.header('ratelimit', `"${name}";r=${left.remainingPoints};t=${seconds}`)
    if (!allowed) throw fail('RATE_LIMITED', `At most ${limiter.points} of these per minute`, { retryAfter: seconds })
    const wider = wide.get(name)
    if (wider && isIPv6(addressOf(request.ip))) await refuseBeyond(wider, wideNetworkOf(request.ip))
  })
}

async function refuseBeyond(limiter: RateLimiterAbstract, key: string): Promise<void> {
  const { allowed, left } = await consume(limiter, key)
  if (!allowed)
    throw fail('RATE_LIMITED', `At most ${limiter.points} of these per minute from one network`, {
      retryAfter: Math.max(1, Math.ceil(left.msBeforeNext / 1000)),
    })
}

/** Requests with an invalid token count against the IP address, because an invalid token costs nothing. */
function policyOf({ identity, service, routeOptions: { config } }: FastifyRequest): PolicyName | undefined {
  const own = config.rateLimit ?? (config.role && !config.service ? 'admin' : undefined)
  if (own === 'off') return undefined
  if (own && (policies[own].of === 'address' || identity)) return own
  return identity || service ? 'user' : 'address'
}

function createLimiter(app: App, name: string, { perMinute, shared }: Policy): RateLimiterAbstract {
  const points = scaledLimit(app.config, perMinute)
  if (shared) return createSharedLimiter(app, name, points, MINUTE_SECONDS)
  return new RateLimiterMemory({ points, duration: MINUTE_SECONDS, keyPrefix: name })
}

/** `points` per `seconds`, counted in PostgreSQL for all processes. */
export function createSharedLimiter({ pool }: Pick<App, 'pool'>, name: string, points: number, duration: number) {
  return new RateLimiterPostgres({
    points,
    duration,
    keyPrefix: name,
    storeClient: pool,
    storeType: 'pool',
    schemaName: 'social',
    tableName: 'rate_limits',
    tableCreated: true,
    clearExpiredByTimeout: false,
    // A refused client is refused from memory until the minute ends, so that a flood causes no writes.
    inMemoryBlockOnConsumed: points + 1,
  })
}

type Consumed = { allowed: boolean; left: RateLimiterRes }

/** A period that ends later than its own length from now began before the clock was set back, so it is over. */
export async function consume(limiter: RateLimiterAbstract, key: string): Promise<Consumed> {
  const consumed = await consumeOnce(limiter, key)
  if (consumed.left.msBeforeNext <= limiter.duration * 1000) return consumed
  await limiter.delete(key)
  return consumeOnce(limiter, key)
}

function consumeOnce(limiter: RateLimiterAbstract, key: string): Promise<Consumed> {
  return limiter.consume(key).then(
    (left) => ({ allowed: true, left }),
    (refusal: unknown) => {
      if (refusal instanceof RateLimiterRes) return { allowed: false, left: refusal }
      throw refusal
    },
  )
}

function keyOf({ identity, service, ip }: FastifyRequest, of: Policy['of']): string {
  if (of === 'user' && service) return `token:${service.tokenId}`
  return of === 'user' && identity ? identity.userId : networkOf(ip)
}

/** An IPv4 address, or the /64 of an IPv6 address, which one subscriber gets. */
export function networkOf(ip: string): string {
  return prefixOf(ip, 64)
}

/** An IPv4 address, or the /48 of an IPv6 address, the most that one customer of a hoster gets. */
export function wideNetworkOf(ip: string): string {
  return prefixOf(ip, 48)
}

function prefixOf(ip: string, bits: 48 | 64): string {
  const address = addressOf(ip)
  if (!isIPv6(address)) return address
  const [left = [], right = []] = address.split('::').map((part) => part.split(':').filter(Boolean))
  const zeros = Array.from({ length: 8 - left.length - right.length }, () => '0')
  return `${[...left, ...zeros, ...right].slice(0, bits / 16).join(':')}::/${bits}`
}

/** Removes the zone, and converts IPv4-mapped addresses to IPv4. */
function addressOf(ip: string): string {
  return ip.replace(/^::ffff:(?=\d+\.)/i, '').split('%', 1)[0] ?? ''
}
