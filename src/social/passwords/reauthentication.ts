import type { FastifyInstance, FastifyRequest, preHandlerAsyncHookHandler } from 'fastify'
import type pg from 'pg'
import type { App } from '../../app.ts'
import { type Confirmation, confirmPassword } from './confirm-password.ts'
import { createConfirmationLimit } from './failed-sign-ins.ts'

/** A session needs no password for this long after its sign-in. */
const RECENT = '10 minutes'

/**
 * Adds the check of `reauthenticates` to the routes that have it in their config: a stolen access token or an unattended
 * screen is not enough for them. Register it before the routes.
 */
export function requireReauthentication(server: FastifyInstance, app: App): void {
  const limitFailures = createConfirmationLimit(app)
  const check: preHandlerAsyncHookHandler = async (request) => {
    const body = request.body as { currentPassword?: string }
    const { currentPassword } = body
    // The body is hashed for the Idempotency-Key, and a hash of a password can be guessed.
    delete body.currentPassword
    await reauthenticate(app, request.user, { currentPassword, ip: request.ip, limitFailures })
  }
  server.addHook('onRoute', (route) => {
    const others = [route.preHandler ?? []].flat()
    // A route that names users by external id is a copy of another one.
    if (route.config?.reauthenticates && !others.includes(check)) route.preHandler = [...others, check]
  })
}

/**
 * Skips accounts without a password, for which an identity provider decides how long a sign-in lasts.
 * @throws {AppError} REAUTHENTICATION_REQUIRED, WRONG_PASSWORD, RATE_LIMITED
 */
async function reauthenticate(
  app: App,
  { userId, sessionId }: FastifyRequest['user'],
  confirmation: Confirmation,
): Promise<void> {
  if (confirmation.currentPassword === undefined && (await signedInRecently(app.pool, sessionId))) return
  await confirmPassword(app, userId, confirmation, 'REAUTHENTICATION_REQUIRED')
}

async function signedInRecently(pool: pg.Pool, sessionId: string): Promise<boolean> {
  const { rowCount } = await pool.query(
    `select from social.sessions where id = $1::bigint and created_at > now() - interval '${RECENT}'`,
    [sessionId],
  )
  return rowCount === 1
}
