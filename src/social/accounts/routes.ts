import cookie from '@fastify/cookie'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { type Static, Type } from '@sinclair/typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { App } from '../../app.ts'
import { fail } from '../../errors.ts'
import { PageQuery, pageOf } from '../../http/paging.ts'
import { Id } from '../../protocol/id.ts'
import { createSignInLimit } from '../passwords/failed-sign-ins.ts'
import { CurrentPassword, Login, Password } from '../passwords/fields.ts'
import { refreshSession } from '../sessions/refresh.ts'
import { clearRefreshCookie, givenRefreshToken, setRefreshCookie } from '../sessions/refresh-cookie.ts'
import { type Device, listSessions, revokeSession, type Session, SessionView, signOut } from '../sessions/session.ts'
import { signAccessToken } from '../sessions/tokens.ts'
import { cleanDisplayName } from '../users/names.ts'
import { DisplayName } from '../users/routes.ts'
import { findUser, User } from '../users/view.ts'
import { createQuestions } from './address-mails.ts'
import { Email, Username } from './fields.ts'
import { signIn } from './sign-in.ts'
import { signUp } from './sign-up.ts'

const closed = { additionalProperties: false }
const RefreshToken = Type.String({ minLength: 1, maxLength: 200 })

const SignUp = Type.Object(
  { username: Username, email: Email, password: Password, displayName: Type.Optional(DisplayName) },
  closed,
)
const SignIn = Type.Object({ login: Login, password: CurrentPassword }, closed)
const Refresh = Type.Object({ refreshToken: Type.Optional(RefreshToken) }, closed)
const CookieQuery = Type.Object(
  { cookie: Type.Optional(Type.Boolean({ description: 'Send the refresh token as an HttpOnly cookie instead' })) },
  closed,
)

export const Tokens = Type.Object({
  user: User,
  accessToken: Type.String({ description: 'JWT for `Authorization: Bearer` and for `hello` on the socket' }),
  refreshToken: Type.Optional(Type.String({ description: 'Absent when the refresh token was sent as a cookie' })),
  expiresIn: Type.Integer({ description: 'Lifetime of the access token in seconds' }),
})
const open = { public: true } as const

export function accountRoutes(app: App): FastifyPluginAsyncTypebox {
  const limitFailures = createSignInLimit(app)
  const askForAddress = createQuestions(app)
  return async (server) => {
    // Only here, because it has a hook on each request and each response.
    await server.register(cookie)

    server.post(
      '/auth/signup',
      {
        config: { ...open, rateLimit: 'sign-up' },
        schema: {
          tags: ['accounts'],
          summary: 'Create an account and sign in',
          description:
            'Creates an account and its first session. Sends a mail that confirms the address; mails of notifications wait for it. The username stays reserved after the account is deleted.',
          answers: { 201: 'The account and its first tokens' },
          errors: ['PASSWORD_TOO_COMMON', 'USERNAME_TAKEN', 'EMAIL_TAKEN'],
          body: SignUp,
          querystring: CookieQuery,
          response: { 201: Tokens },
        },
      },
      async (request, reply) => {
        const { username, email, password, displayName: given } = request.body
        const displayName = given && cleanDisplayName(given)
        const device = deviceOf(request)
        const session = await signUp(app, { username, email, password, displayName }, device)
        await askForAddress('address', { userId: session.userId, email, ip: device.ip })
        return reply.code(201).send(await tokens(app, reply, session, request.query.cookie))
      },
    )

    server.post(
      '/auth/signin',
      {
        config: { ...open, rateLimit: 'sign-in' },
        schema: {
          tags: ['accounts'],
          summary: 'Sign in by username or address',
          description:
            'Starts a session. Every failure has the same answer, whether the account or the password is wrong.',
          answers: { 200: 'The account and the tokens of the new session' },
          errors: ['BAD_CREDENTIALS'],
          body: SignIn,
          querystring: CookieQuery,
          response: { 200: Tokens },
        },
      },
      async (request, reply) => {
        const { login, password } = request.body
        const device = deviceOf(request)
        const { ask, ...session } = await signIn(app, { login, password, device, limitFailures })
        if (ask) await askForAddress('address', { userId: session.userId, email: ask.email, ip: device.ip })
        return tokens(app, reply, session, request.query.cookie)
      },
    )

    server.post(
      '/auth/refresh',
      {
        config: open,
        schema: {
          tags: ['accounts'],
          summary: 'Exchange a refresh token for new tokens',
          description:
            'Call it shortly before the access token expires, once at a time. For 10 seconds after its use, the previous refresh token still gets an answer, because the first one may have been lost. A later use ends the session.',
          answers: { 200: 'A new pair of tokens' },
          errors: ['NO_REFRESH_TOKEN', 'BAD_REFRESH_TOKEN', 'REFRESH_TOKEN_REUSED', 'BAD_CREDENTIALS'],
          body: Refresh,
          response: { 200: Tokens },
        },
      },
      async (request, reply) => {
        const { token, byCookie } = givenRefreshToken(request, app.config, request.body.refreshToken)
        return tokens(app, reply, await refreshSession(app, token), byCookie)
      },
    )

    server.post(
      '/auth/signout',
      {
        schema: {
          tags: ['accounts'],
          summary: 'End the session of a refresh token',
          description: 'Ends the session, its sockets and its web push subscriptions.',
          answers: { 204: 'The session is ended' },
          errors: ['NO_REFRESH_TOKEN', 'BAD_REFRESH_TOKEN'],
          body: Refresh,
          response: { 204: Type.Null() },
        },
      },
      async (request, reply) => {
        const { token, byCookie } = givenRefreshToken(request, app.config, request.body.refreshToken)
        await signOut(app, request.user.userId, token)
        if (byCookie) clearRefreshCookie(reply, app.config)
        return reply.code(204).send(null)
      },
    )

    server.get(
      '/auth/sessions',
      {
        schema: {
          tags: ['accounts'],
          summary: 'List my sessions, newest first',
          description: 'Sessions that are neither ended nor expired. `current` marks the session of this request.',
          answers: { 200: 'A page of sessions' },
          querystring: PageQuery,
          response: { 200: pageOf(SessionView) },
        },
      },
      async ({ user, query }) => listSessions(app, user, query),
    )

    server.delete(
      '/auth/sessions/:id',
      {
        schema: {
          tags: ['accounts'],
          summary: 'End one of my sessions',
          description: 'Ends the session on another device, with its sockets and web push subscriptions.',
          answers: { 204: 'The session is ended' },
          errors: ['SESSION_NOT_FOUND'],
          params: Type.Object({ id: Id }),
          response: { 204: Type.Null() },
        },
      },
      async ({ user, params }, reply) => {
        await revokeSession(app, user.userId, params.id)
        return reply.code(204).send(null)
      },
    )
  }
}

/**
 * The answer that starts or renews a session. When the client wants a cookie, the refresh token is only in the cookie.
 */
export async function tokens(
  app: App,
  reply: FastifyReply,
  session: Session,
  byCookie = false,
): Promise<Static<typeof Tokens>> {
  const user = await findUser(app.pool, session.userId, session.userId)
  if (!user) throw fail('BAD_CREDENTIALS')
  if (byCookie) setRefreshCookie(reply, app.config, session.refreshToken)
  return {
    user,
    accessToken: signAccessToken(app.config, session),
    refreshToken: byCookie ? undefined : session.refreshToken,
    expiresIn: app.config.accessTokenTtl,
  }
}

export function deviceOf(request: FastifyRequest): Device {
  return { userAgent: (request.headers['user-agent'] ?? '').slice(0, 200), ip: request.ip }
}
