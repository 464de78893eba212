import type { FastifyInstance, FastifyRequest } from 'fastify'
import { type Identity, verifyAccessToken } from '../accounts/tokens.ts'
import type { Config } from '../config.ts'
import { fail } from '../errors.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Needs no access token. */
    public?: boolean
    /** Needs the role `admin`. */
    admin?: boolean
  }
  interface FastifyRequest {
    /** Who asks. Not to be used by public routes. */
    user: Identity
  }
}

/** Every route needs a bearer token (RFC 6750) unless its config says `public`. */
export function requireAccessToken(server: FastifyInstance, config: Config): void {
  server.decorateRequest('user')
  server.addHook('onRequest', async (request) => {
    const route = request.routeOptions.config
    if (route.public || request.is404) return
    const identity = verifyAccessToken(config, bearerToken(request) ?? '')
    if (!identity) throw fail('UNAUTHENTICATED', 'Sign in or refresh, then send Authorization: Bearer <access token>')
    if (route.admin && identity.role !== 'admin') throw fail('FORBIDDEN')
    request.user = identity
  })
}

export function bearerToken(request: FastifyRequest): string | undefined {
  return /^Bearer +(\S.*)$/i.exec(request.headers.authorization ?? '')?.[1]
}
