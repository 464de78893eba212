import type { FastifyInstance, FastifyRequest } from 'fastify'
import type pg from 'pg'
import type { App } from '../../app.ts'
import { repeat } from '../../base/pulse.ts'
import { AppError, fail } from '../../errors.ts'
import { bearerToken, type Identity, includesRole, type Role, roleOf, type StaffRole } from '../../http/identity.ts'
import { networkOf } from '../../http/rate-limits.ts'
import { createServiceLookup } from '../service-tokens/tokens.ts'
import { LOOK_EVERY_MS } from './revoked-sessions.ts'

/** Identifies the user by the bearer token (RFC 6750), unless the session was revoked. Refuses no request. */
export function recogniseUsers(server: FastifyInstance, app: App): void {
  lookForRevocations(server, app)
  const findService = createServiceLookup(app)
  server.decorateRequest('identity', null)
  server.decorateRequest('refusal', null)
  server.decorateRequest('service', null)
  const note = (request: FastifyRequest, found: Identity | AppError) => {
    if (found instanceof AppError) request.refusal = found
    else if (!app.revokedSessions.has(found.sessionId)) request.identity = found
  }
  const noteLater = async (request: FastifyRequest, token: string, found: AppError | Promise<Identity | AppError>) => {
    note(request, await found)
    if (request.refusal && request.routeOptions.config.service)
      request.service = await findService(token, networkOf(request.ip))
  }
  server.addHook('onRequest', (request, _reply, done) => {
    if (request.routeOptions.config.public) return done()
    const token = bearerToken(request) ?? ''
    const found = app.sessions.identify(token)
    // Our own valid tokens, which are nearly all, need no promise.
    if (found instanceof Promise || found instanceof AppError)
      return void noteLater(request, token, found).then(() => done(), done)
    note(request, found)
    done()
  })
}

/** Every route requires an access token unless its config has `public`, and the role that its config names. */
export function requireAccessToken(server: FastifyInstance, { pool }: App): void {
  server.decorateRequest('user')
  server.addHook('onRoute', ({ url, method, config }) => {
    if (url.startsWith('/admin/') && !config?.role) throw new Error(`${method} ${url} needs a role in its config`)
  })
  server.addHook('onRequest', (request, _reply, done) => {
    const route = request.routeOptions.config
    if (route.public || request.is404) return done()
    const { identity, service, refusal } = request
    if (service && route.service) return done(service.scopes.includes(route.service) ? undefined : fail('FORBIDDEN'))
    if (!identity) return done(refusal ?? fail('UNAUTHENTICATED', 'The session was ended; sign in again'))
    const allow = (user: Identity) => {
      request.user = user
      done()
    }
    const role = route.role ?? (route.service && !route.orUser ? 'admin' : undefined)
    if (role) requireRole(pool, identity, role).then((now) => allow({ ...identity, role: now }), done)
    else allow(identity)
  })
}

/** The role in the table, because the token has the role of its sign-in. So a withdrawn role ends at once. */
async function requireRole(pool: pg.Pool, { userId, role }: Identity, needed: StaffRole): Promise<Role> {
  if (role === 'user') throw fail('FORBIDDEN')
  const { rows } = await pool.query<{ role: string; mustChange: boolean }>({
    name: 'role_of_staff',
    text: `select role, password_change_required as "mustChange" from social.users
           where id = $1::bigint and role <> 'user' and deleted_at is null`,
    values: [userId],
  })
  const now = roleOf(rows[0]?.role ?? 'user')
  if (!includesRole(now, needed)) throw fail('FORBIDDEN')
  if (rows[0]?.mustChange) throw fail('PASSWORD_CHANGE_REQUIRED', 'Choose a new password with PUT /auth/password')
  return now
}

function lookForRevocations(server: FastifyInstance, { revokedSessions, pool, log }: App): void {
  let looks: { close(): Promise<void> } | undefined
  server.addHook('onListen', async () => {
    looks = repeat(LOOK_EVERY_MS, log, 'reading the revoked sessions', () => revokedSessions.look(pool))
  })
  server.addHook('onClose', async () => looks?.close())
}
