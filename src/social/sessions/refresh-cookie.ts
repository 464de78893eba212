import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Config } from '../../config.ts'
import { fail } from '../../errors.ts'
import { isHttps, requireOwnPage } from '../../http/origin.ts'

/**
 * For browsers: a cookie that no script can read and no other site can send. The prefix, which browsers take over https alone and
 * for `/` alone, keeps sibling domains from setting one of theirs; without https, no route but /auth receives it.
 */
function cookieFor(request: FastifyRequest, config: Config) {
  return isHttps(request, config)
    ? { name: '__Host-ravenpost_refresh', path: '/', secure: true }
    : { name: 'ravenpost_refresh', path: '/auth', secure: false }
}

export function setRefreshCookie(reply: FastifyReply, config: Config, refreshToken: string): void {
  const { name, path, secure } = cookieFor(reply.request, config)
  reply.setCookie(name, refreshToken, {
    path,
    secure,
    httpOnly: true,
    sameSite: 'strict',
    maxAge: config.refreshTokenTtl,
  })
}

export function clearRefreshCookie(reply: FastifyReply, config: Config): void {
  const { name, path, secure } = cookieFor(reply.request, config)
  reply.clearCookie(name, { path, secure })
}

/**
 * The token of the body, otherwise the cookie's; `byCookie` says that the next one is to be sent as a cookie too.
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
