import type { FastifyRequest } from 'fastify'
import type { Config } from '../config.ts'
import { fail } from '../errors.ts'

/** Whether browsers reach us by https: PUBLIC_URL says so, or the X-Forwarded-Proto of a trusted proxy. */
export function isHttps({ protocol }: FastifyRequest, { publicUrl }: Pick<Config, 'publicUrl'>): boolean {
  return protocol === 'https' || (publicUrl?.startsWith('https:') ?? false)
}

/**
 * For calls that act by a cookie, which browsers send whatever page makes the call. SameSite keeps pages of other sites away, but not
 * those of sibling domains. A page cannot change the two headers; programs that are no browsers send neither.
 * @throws {AppError} ORIGIN_NOT_ALLOWED
 */
export function requireOwnPage(request: FastifyRequest, config: Pick<Config, 'publicUrl' | 'allowedOrigins'>): void {
  const { origin, 'sec-fetch-site': site } = request.headers
  if (site === 'same-origin' || (origin === undefined && site === undefined)) return
  const own = [...(isHttps(request, config) ? [] : [`http://${request.host}`]), `https://${request.host}`]
  const allowed = [...own, ...config.allowedOrigins, ...(config.publicUrl ? [new URL(config.publicUrl).origin] : [])]
  if (origin !== undefined && allowed.includes(origin)) return
  request.log.warn({ origin, site }, 'refused a call by cookie: ALLOWED_ORIGINS does not name the origin of its page')
  throw fail('ORIGIN_NOT_ALLOWED', 'Call from a page of this server, or of an origin in ALLOWED_ORIGINS')
}
