import type { FastifyInstance, FastifyRequest } from 'fastify'
import { LOOK_EVERY_MS } from '../accounts/revoked-sessions.ts'
import { type Identity, verifyAccessToken } from '../accounts/tokens.ts'
import type { App } from '../app.ts'
import { repeat } from '../engine/repeat.ts'
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
    /** Whom a valid token names, on routes that need one; what is counted may go by it, what is allowed goes by `user`. */
    identity: Identity | null
  }
}

/** Reads the bearer token (RFC 6750) of routes that need one, of a session that was not revoked; refuses nobody. */
export function recogniseUsers(server: FastifyInstance, app: App): void {
  lookForRevocations(server, app)
  server.decorateRequest('identity', null)
  server.addHook('onRequest', async (request) => {
    if (request.routeOptions.config.public) return
    const identity = verifyAccessToken(app.config, bearerToken(request) ?? '')
    if (identity && !app.revokedSessions.has(identity.sessionId)) request.identity = identity
  })
}

/** Every route needs an access token unless its config says `public`. */
export function requireAccessToken(server: FastifyInstance): void {
  server.decorateRequest('user')
  server.addHook('onRequest', async (request) => {
    const route = request.routeOptions.config
    if (route.public || request.is404) return
    const { identity } = request
    if (!identity) throw fail('UNAUTHENTICATED', 'Sign in or refresh, then send Authorization: Bearer <access token>')
    if (route.admin && identity.role !== 'admin') throw fail('FORBIDDEN')
    request.user = identity
  })
}

function lookForRevocations(server: FastifyInstance, { revokedSessions, pool, log }: App): void {
  let looks: { close(): Promise<void> } | undefined
  server.addHook('onListen', async () => {
    looks = repeat(LOOK_EVERY_MS, log, 'reading the revoked sessions', () => revokedSessions.look(pool))
  })
  server.addHook('onClose', async () => looks?.close())
}

export function bearerToken(request: FastifyRequest): string | undefined {
  return /^Bearer +(\S.*)$/i.exec(request.headers.authorization ?? '')?.[1]
}
