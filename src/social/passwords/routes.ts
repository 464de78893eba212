import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import type { App } from '../../app.ts'
import { AppError } from '../../errors.ts'
import { acceptForms, isForm } from '../../http/validation.ts'
import { escapeHtml, page } from '../../notify/channels/email/mail.ts'
import { Token } from '../../notify/channels/email/routes.ts'
import type { Catalogue } from '../../notify/channels/email/words.ts'
import { changePassword } from './change-password.ts'
import { createConfirmationLimit } from './failed-sign-ins.ts'
import { CurrentPassword, Login, Password } from './fields.ts'
import { createForgotten, resetPassword, wordsOfReset } from './reset-password.ts'

const closed = { additionalProperties: false }
const html = { content: { 'text/html': { schema: Type.String() } } }
const HTML = 'text/html; charset=utf-8'

export function passwordRoutes(app: App): FastifyPluginAsyncTypebox {
  const limitFailures = createConfirmationLimit(app)
  const forgotten = createForgotten(app)
  const underWay = new Set<Promise<void>>()
  /** Runs after the answer, so that the response time does not reveal whether the account exists. */
  const runLater = (work: Promise<void>) => {
    const run = work.catch((err) => app.log.error({ err }, 'cannot queue a password reset mail'))
    underWay.add(run)
    run.finally(() => underWay.delete(run))
  }
  return async (server) => {
    acceptForms(server)
    server.addHook('onClose', async () => void (await Promise.all(underWay)))

    server.put(
      '/auth/password',
      {
        config: { rateLimit: 'sign-in' },
        schema: {
          tags: ['accounts'],
          summary: 'Change my password and end my other sessions',
          description: 'The session of this request continues.',
          answers: { 204: 'The password is changed and all other sessions are ended' },
          errors: ['WRONG_PASSWORD', 'PASSWORD_TOO_COMMON', 'PASSWORD_UNCHANGED'],
          body: Type.Object({ currentPassword: CurrentPassword, password: Password }, closed),
          response: { 204: Type.Null() },
        },
      },
      async (request, reply) => {
        await changePassword(app, request.user, { ...request.body, ip: request.ip, limitFailures })
        return reply.code(204).send(null)
      },
    )

    server.post(
      '/auth/password/forgot',
      {
        config: { public: true, rateLimit: 'account-mail' },
        schema: {
          tags: ['accounts'],
          summary: 'Request a mail that resets a forgotten password',
          description:
            'Mails a link that works once, for 30 minutes, to the address of the account. The answer does not reveal whether the account exists.',
          answers: { 202: 'Always, also for an unknown account' },
          body: Type.Object({ login: Login }, closed),
          response: { 202: Type.Object({}) },
        },
      },
      async ({ body: { login }, ip }, reply) => {
        if (await forgotten.count(login)) reply.raw.once('finish', () => runLater(forgotten.run({ login, ip })))
        return reply.code(202).send({})
      },
    )

    server.post(
      '/auth/password/reset',
      {
        config: { public: true, rateLimit: 'sign-in' },
        schema: {
          tags: ['accounts'],
          summary: 'Set a new password with the mailed token and end all my sessions',
          description: 'The mailed page posts the form of this call; apps send JSON.',
          answers: {
            200: 'To a form: a page that confirms the new password',
            204: 'To JSON: the password is changed and every session is ended',
          },
          errors: ['BAD_TOKEN', 'PASSWORD_TOO_COMMON'],
          body: Type.Object({ token: Token, password: Password }, closed),
          response: { 200: html, 204: Type.Null() },
        },
      },
      async (request, reply) => {
        const { token, password } = request.body
        const reset = () => resetPassword(app, { token, password, ip: request.ip })
        if (!isForm(request)) return reply.code(204).send(await reset().then(() => null))
        const words = await wordsOfReset(app, token) // a used token identifies no user
        const page = await reset().then(
          () => changed(words),
          (error) => refused(error, token, words),
        )
        return reply.type(HTML).send(page)
      },
    )

    server.get(
      '/auth/password/reset',
      {
        config: { public: true },
        schema: {
          tags: ['accounts'],
          summary: 'Page with a form for a new password, linked from a mail',
          description: 'Loading the page changes nothing; submitting its form does.',
          answers: { 200: 'The page' },
          querystring: Type.Object({ token: Token }, closed),
          response: { 200: html },
        },
      },
      async ({ query: { token } }, reply) => {
        const words = await wordsOfReset(app, token)
        return reply.type(HTML).send(page(words.pages.choosePassword, [form(token, words)], words.language))
      },
    )
  }
}

function changed({ pages, language }: Catalogue): string {
  return page(pages.passwordChanged, [`<p>${pages.isPasswordChanged}</p>`], language)
}

function refused(error: unknown, token: string, words: Catalogue): string {
  if (!(error instanceof AppError) || error.status >= 500) throw error
  const again = error.code === 'BAD_TOKEN' ? [] : [form(token, words)]
  const why = words.errors[error.code] ?? [...new Set([error.title, error.detail])].join('. ')
  return page(words.pages.choosePassword, [`<p>${escapeHtml(why)}</p>`, ...again], words.language)
}

/**
 * Form to set a password. GET must not change anything, because mail scanners open links too. The action is relative to the
 * page, so it works below any prefix.
 */
function form(token: string, { pages }: Catalogue): string {
  return `<form method="post" action="reset"><input type="hidden" name="token" value="${escapeHtml(token)}">
<label>${pages.newPassword} <input type="password" name="password" minlength="8" maxlength="200" autocomplete="new-password" required></label>
<button>${pages.save}</button></form>`
}
