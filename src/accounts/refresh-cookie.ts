import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Config } from '../config.ts'
import { fail } from '../errors.ts'

/** For browsers: a cookie that no script can read, no other site can send, and no route but /auth receives. */
const NAME = 'ravenpost_refresh'
const PATH = '/auth'

export function setRefreshCookie(reply: FastifyReply, config: Config, refreshToken: string): void {
  reply.setCookie(NAME, refreshToken, {
    path: PATH,
    httpOnly: true,
    sameSite: 'strict',
    secure: config.publicUrl?.startsWith('https:') ?? false,
    maxAge: config.refreshTokenTtl,
  })
}

export function clearRefreshCookie(reply: FastifyReply): void {
  reply.clearCookie(NAME, { path: PATH })
}

/**
 * The token of the body, otherwise the cookie's; `byCookie` says that the next one is to be sent as a cookie too.
 * @throws {AppError} NO_REFRESH_TOKEN when there is neither
 */
export function givenRefreshToken(
  request: FastifyRequest,
  inBody: string | undefined,
): { token: string; byCookie: boolean } {
  if (inBody !== undefined) return { token: inBody, byCookie: false }
  const inCookie = request.cookies[NAME]
  if (inCookie === undefined)
    throw fail('NO_REFRESH_TOKEN', 'Send refreshToken in the body or as the cookie given at sign-in')
  return { token: inCookie, byCookie: true }
}
