import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import type { App } from '../../app.ts'
import { AppError } from '../../errors.ts'
import { acceptForms, isForm } from '../../http/forms.ts'
import { escapeHtml, page } from '../../notify/channels/email/mail.ts'
import { Token } from '../../notify/channels/email/routes.ts'
import { changePassword } from './change-password.ts'
import { createFailureLimit } from './failed-sign-ins.ts'
import { CurrentPassword, Login, Password } from './fields.ts'
import { createForgotten, resetPassword } from './reset-password.ts'

const closed = { additionalProperties: false }
const html = { content: { 'text/html': { schema: Type.String() } } }
const HTML = 'text/html; charset=utf-8'

export function passwordRoutes(app: App): FastifyPluginAsyncTypebox {
  const limitFailures = createFailureLimit(app)
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
          errors: ['BAD_TOKEN', 'PASSWORD_TOO_COMMON'],
          body: Type.Object({ token: Token, password: Password }, closed),
          response: { 200: html, 204: Type.Null() },
        },
      },
      async (request, reply) => {
        const { token, password } = request.body
        const reset = resetPassword(app, { token, password, ip: request.ip })
        if (!isForm(request)) return reply.code(204).send(await reset.then(() => null))
        return reply.type(HTML).send(await reset.then(changed, (error) => refused(error, token)))
      },
    )

    server.get(
      '/auth/password/reset',
      {
        config: { public: true },
        schema: {
          tags: ['accounts'],
          summary: 'Page with a form for a new password, linked from a mail',
          querystring: Type.Object({ token: Token }, closed),
          response: { 200: html },
        },
      },
      async ({ query: { token } }, reply) => reply.type(HTML).send(page(TITLE, [form(token)])),
    )
  }
}

const TITLE = 'Choose a new password'

const changed = () => page('Password changed', ['<p>Your password was changed. You can sign in with it now.</p>'])

function refused(error: unknown, token: string): string {
  if (!(error instanceof AppError) || error.status >= 500) throw error
  const again = error.code === 'BAD_TOKEN' ? [] : [form(token)]
  return page(TITLE, [`<p>${escapeHtml(error.title)}. ${escapeHtml(error.detail ?? '')}</p>`, ...again])
}

/**
 * A form, because mail scanners open links too, so GET must not change anything. Its action is relative to the page and
 * works below any prefix.
 */
function form(token: string): string {
  return `<form method="post" action="reset"><input type="hidden" name="token" value="${escapeHtml(token)}">
<label>New password, at least 8 characters <input type="password" name="password" minlength="8" maxlength="200" autocomplete="new-password" required></label>
<button>Save</button></form>`
}
