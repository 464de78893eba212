import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Config } from '../../config.ts'
import { fail } from '../../errors.ts'
import { isHttps, requireOwnPage } from '../../http/origin.ts'

/**
 * A cookie that scripts cannot read. Over https, its name has a prefix that browsers accept only with `Secure`.
 * `__Host-`, valid only for `/`, also keeps sibling domains from setting it. Without https, or below a BASE_PATH, only
 * calls below /auth receive it.
 */
function cookieFor(request: FastifyRequest, config: Config) {
  const secure = isHttps(request, config) || config.cookieSameSite === 'none'
  const path = `${config.basePath}/auth`
  const attributes = { path, secure, httpOnly: true, sameSite: config.cookieSameSite }
  if (!secure) return { name: 'ravenpost_refresh', attributes }
  return config.basePath === ''
    ? { name: '__Host-ravenpost_refresh', attributes: { ...attributes, path: '/' } }
    : { name: '__Secure-ravenpost_refresh', attributes }
}

export function setRefreshCookie(reply: FastifyReply, config: Config, refreshToken: string): void {
  const { name, attributes } = cookieFor(reply.request, config)
  reply.setCookie(name, refreshToken, { ...attributes, maxAge: config.refreshTokenTtl })
}

/** With the attributes of the cookie: browsers refuse others from a page elsewhere, even if they remove the cookie. */
export function clearRefreshCookie(reply: FastifyReply, config: Config): void {
  const { name, attributes } = cookieFor(reply.request, config)
  reply.clearCookie(name, attributes)
}

/**
 * The token of the body, otherwise the cookie's. `byCookie`: the next token goes into a cookie too.
 * @throws {AppError} NO_REFRESH_TOKEN when there is neither, ORIGIN_NOT_ALLOWED when a page elsewhere sends the cookie
 */
export function givenRefreshToken(
  request: FastifyRequest,
  config: Config,
  inBody: string | undefined,
): { token: string; byCookie: boolean } {
  if (inBody !== undefined) return { token: inBody, byCookie: false }
  const inCookie = request.cookies[cookieFor(request, config).name]
  if (inCookie === undefined)
    throw fail('NO_REFRESH_TOKEN', 'Send refreshToken in the body or as the cookie given at sign-in')
  requireOwnPage(request, config)
  return { token: inCookie, byCookie: true }
}
