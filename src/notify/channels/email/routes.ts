import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import type { App } from '../../../app.ts'
import { acceptForms, isForm } from '../../../http/validation.ts'
import { escapeHtml, page } from './mail.ts'
import { checkUnsubscribeToken, stopMails } from './unsubscribe.ts'
import { accountsOf, verifyEmail } from './verify.ts'
import { wordsFor, wordsIn } from './words.ts'

export const Token = Type.String({ minLength: 1, maxLength: 600, pattern: '^[\\w.-]+$' })
const WithToken = Type.Object({ token: Token }, { additionalProperties: false })
const open = { public: true }
const html = { content: { 'text/html': { schema: Type.String() } } }
const HTML = 'text/html; charset=utf-8'

/** Pages that mails link to. Mail scanners open links too, so GET shows a button and only POST acts. */
export function emailRoutes({ pool, config }: App): FastifyPluginAsyncTypebox {
  return async (server) => {
    // The body of RFC 8058's POST adds nothing to the link. The body of our form is a token.
    server.addContentTypeParser('multipart/form-data', (_request, payload, done) => {
      payload.resume().on('end', () => done(null, {}))
    })
    acceptForms(server)

    server.post(
      '/auth/verify-email',
      {
        config: open,
        schema: {
          tags: ['accounts'],
          summary: 'Confirm an address with the mailed token',
          description: 'The mailed page posts the form of this call; apps send JSON.',
          answers: { 200: 'To a form: a page that confirms the address', 204: 'To JSON: the address is verified' },
          errors: ['BAD_TOKEN', 'EMAIL_TAKEN'],
          body: WithToken,
          response: { 200: html, 204: Type.Null() },
        },
      },
      async (request, reply) => {
        const userId = await verifyEmail(pool, config, request.body.token)
        if (!isForm(request)) return reply.code(204).send(null)
        const { pages, language } = await wordsFor(pool, userId)
        return reply.type(HTML).send(page(pages.confirmed, [`<p>${pages.isConfirmed}</p>`], language))
      },
    )

    server.get(
      '/auth/verify-email',
      {
        config: open,
        schema: {
          tags: ['accounts'],
          summary: 'Page with a button that confirms an address, linked from a mail',
          description: 'Loading the page changes nothing; submitting its form does.',
          answers: { 200: 'The page' },
          errors: ['BAD_TOKEN'],
          querystring: WithToken,
          response: { 200: html },
        },
      },
      async ({ query }, reply) => {
        const accounts = await accountsOf(pool, config, query.token)
        const { pages, language } = wordsIn(accounts[0]?.locale)
        const forms = accounts.map(({ username, token }) =>
          form(
            pages.confirm,
            'verify-email',
            `<p>${pages.mailFor(`<b>${escapeHtml(username)}</b>`)}</p><input type="hidden" name="token" value="${escapeHtml(token)}">`,
          ),
        )
        return reply.type(HTML).send(page(pages.confirm, [`<p>${pages.onlyYours}</p>`, ...forms], language))
      },
    )

    server.get(
      '/unsubscribe/:token',
      {
        config: open,
        schema: {
          tags: ['notifications'],
          summary: 'Page that asks before unsubscribing, linked from a mail',
          description: 'Loading the page changes nothing; submitting its form does.',
          answers: { 200: 'The page' },
          errors: ['BAD_TOKEN'],
          params: WithToken,
          response: { 200: html },
        },
      },
      async ({ params }, reply) => {
        const { pages, language } = await wordsFor(pool, checkUnsubscribeToken(config, params.token))
        return reply.type(HTML).send(page(pages.noMails, [form(pages.noMails, params.token)], language))
      },
    )

    server.post(
      '/unsubscribe/:token',
      {
        config: open,
        schema: {
          tags: ['notifications'],
          summary: 'Unsubscribe from mails (RFC 8058)',
          description:
            'One click in a mail program (RFC 8058), or the form of the page. Turns off all mails about notifications.',
          answers: { 200: 'A page that confirms it' },
          errors: ['BAD_TOKEN'],
          params: WithToken,
          body: Type.Object({}),
          response: { 200: html },
        },
      },
      async ({ params }, reply) => {
        const userId = checkUnsubscribeToken(config, params.token)
        await stopMails(pool, userId)
        const { pages, language } = await wordsFor(pool, userId)
        return reply.type(HTML).send(page(pages.unsubscribed, [`<p>${pages.isUnsubscribed}</p>`], language))
      },
    )
  }
}

/** `action` is relative to the page, so it works below any prefix. */
function form(label: string, action: string, fields = ''): string {
  return `<form method="post" action="${escapeHtml(action)}">${fields}<button>${escapeHtml(label)}</button></form>`
}
