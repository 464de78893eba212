import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import type { App } from '../../app.ts'
import { scaledLimit } from '../../config.ts'
import { fail } from '../../errors.ts'
import { consume, createSharedLimiter } from '../../http/rate-limits.ts'
import { createConfirmationLimit } from '../passwords/failed-sign-ins.ts'
import { CurrentPassword } from '../passwords/fields.ts'
import { createQuestions } from './address-mails.ts'
import { editAccount } from './edit-account.ts'
import { Export, exportAccount } from './export.ts'
import { Email, Username } from './fields.ts'
import { findMe, Me } from './me.ts'

const HOUR_SECONDS = 3600
/** Maximum mails to new addresses that a user may trigger per hour. */
export const ADDRESS_MAILS_AN_HOUR = 5
/** Maximum number of new names per user and day, because each reserves a name. */
export const NAMES_A_DAY = 5

export const Locale = Type.String({ minLength: 2, maxLength: 35, description: 'BCP 47 tag, for example pt-BR' })
export const TimeZone = Type.String({
  minLength: 1,
  maxLength: 100,
  description: 'IANA time zone, for example Europe/Berlin',
})
const Change = Type.Partial(
  Type.Object({
    email: Email,
    username: Username,
    locale: Type.Union([Locale, Type.Null()]),
    timeZone: Type.Union([TimeZone, Type.Null()]),
    currentPassword: CurrentPassword,
  }),
  { additionalProperties: false },
)

export function meRoutes(app: App): FastifyPluginAsyncTypebox {
  const limitFailures = createConfirmationLimit(app)
  const ask = createQuestions(app)
  const limits = {
    addresses: createAccountLimit(app, 'address-mails', ADDRESS_MAILS_AN_HOUR, HOUR_SECONDS),
    names: createAccountLimit(app, 'renames', NAMES_A_DAY, 24 * HOUR_SECONDS),
  }
  return async (server) => {
    server.get(
      '/auth/me',
      {
        schema: {
          tags: ['accounts'],
          summary: 'Get my account',
          description:
            'Private properties of the account, such as the address and the role, beside the public profile.',
          answers: { 200: 'The account' },
          response: { 200: Me },
        },
      },
      ({ user }) => findMe(app, user.userId),
    )

    server.patch(
      '/auth/me',
      {
        schema: {
          tags: ['accounts'],
          summary: 'Change my address, username, language or time zone',
          description:
            'Only the sent properties change. A new address counts once it is verified by the mailed link, and needs `currentPassword`; a verified former address gets a mail about it.',
          answers: { 200: 'The changed account' },
          errors: ['WRONG_PASSWORD', 'EMAIL_TAKEN', 'USERNAME_TAKEN', 'BAD_TIME_ZONE'],
          body: Change,
          response: { 200: Me },
        },
      },
      async ({ user, body, ip }) => {
        const { currentPassword, ...change } = body
        const email = await editAccount(app, user.userId, change, { currentPassword, ip, limitFailures, limits })
        if (email !== undefined) await ask('newAddress', { userId: user.userId, email, ip })
        return findMe(app, user.userId)
      },
    )

    server.get(
      '/auth/me/export',
      {
        config: { rateLimit: 'export' },
        schema: {
          tags: ['accounts'],
          summary: 'Export all my data as JSON',
          description:
            'One JSON document, streamed: account, posts, comments, likes, relations, media, notifications and deliveries.',
          answers: { 200: 'Everything stored about the account' },
          response: { 200: Export },
        },
      },
      async ({ user }, reply) =>
        reply
          .type('application/json')
          .header('content-disposition', 'attachment; filename="ravenpost-export.json"')
          .send(await exportAccount(app, user.userId)),
    )

    server.post(
      '/auth/verify-email/resend',
      {
        config: { rateLimit: 'account-mail' },
        schema: {
          tags: ['accounts'],
          summary: 'Resend the mail that confirms my address',
          description: 'A few mails a day. The answer is the same when nothing is sent.',
          answers: { 202: 'Always' },
          response: { 202: Type.Object({}) },
        },
      },
      async ({ user: { userId }, ip }, reply) => {
        const { email, pendingEmail } = await findMe(app, userId)
        await limits.addresses(userId)
        if (pendingEmail !== null) await ask('newAddress', { userId, email: pendingEmail, ip })
        else if (email !== null) await ask('wanted', { userId, email, ip })
        return reply.code(202).send({})
      },
    )
  }
}

/**
 * A limit per user of `points`, times RATE_LIMIT_SCALE, in `seconds`. The returned function @throws {AppError}
 * RATE_LIMITED, and returns a function that takes the count back
 */
function createAccountLimit(app: App, name: string, points: number, seconds: number) {
  const limiter = createSharedLimiter(app, name, scaledLimit(app.config, points), seconds)
  return async (userId: string): Promise<() => Promise<unknown>> => {
    const { allowed, left } = await consume(limiter, userId)
    if (allowed) return () => limiter.reward(userId, 1)
    const retryAfter = Math.max(1, Math.ceil(left.msBeforeNext / 1000))
    throw fail('RATE_LIMITED', `At most ${limiter.points} of these in ${seconds / 3600} hours`, { retryAfter })
  }
}
