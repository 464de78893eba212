import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import fastifyStatic from '@fastify/static'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { App } from '../app.ts'
import type { Config } from '../config.ts'
import { pageHeaders } from '../http/security-headers.ts'
import { escapeHtml } from '../notify/channels/email/mail.ts'
import type { Web } from './web-build.ts'

/** The base element of index.html, which must contain exactly this text. */
const BASE = '<base href="/" data-demo="false" data-push="false"'

/** Files of web/dist without a hash in their name. */
const NAMED_FILES = ['favicon.svg', 'icon.svg', 'manifest.webmanifest', 'sw.js', 'theme.js']

/**
 * Serves the web app. Any GET that prefers HTML to JSON and does not name a file gets the app's page. So a
 * notification's `url` opened in a tab shows the page instead of JSON. Public routes already serve browsers and keep
 * their paths.
 */
export async function serveWeb(server: FastifyInstance, { config }: Pick<App, 'config'>, web: Web): Promise<void> {
  const csp = securityPolicy("'self'")
  const sendPage = async (reply: FastifyReply): Promise<void> => {
    const index = await readFile(join(web.dist, 'index.html'), 'utf8').catch(() => undefined)
    reply.type('text/html; charset=utf-8').headers(pageHeaders).header('cache-control', 'no-cache')
    if (index === undefined) return sendLanding(reply, web)
    reply.header('content-security-policy', csp)
    const push = config.vapid !== null
    const base = `<base href="${pathOfApi(config)}" data-demo="${config.demo}" data-push="${push}"`
    reply.send(index.replace(BASE, base))
  }
  server.addHook('onRequest', (request, reply, done) => {
    if (request.method !== 'GET' && request.method !== 'HEAD') return done()
    if (request.routeOptions.config?.public) return done()
    reply.header('vary', 'Accept')
    if (isFile(request) || !prefersHtml(request.headers.accept)) return done()
    sendPage(reply).catch(done)
  })

  await server.register(async (files) => {
    await files.register(fastifyStatic, { root: web.dist, serve: false, preCompressed: true, suppressWarning: true })
    const schema = { hide: true }
    const open = { public: true, rateLimit: 'off' } as const
    // Avoids a log line per file.
    files.addHook('onRoute', (route) => {
      route.logLevel = 'warn'
    })
    files.get<{ Params: { '*': string } }>('/assets/*', { config: open, schema }, (request, reply) =>
      reply
        .removeHeader('cache-control')
        .sendFile(`assets/${request.params['*']}`, { maxAge: '365d', immutable: true }),
    )
    for (const name of NAMED_FILES)
      files.get(`/${name}`, { config: open, schema }, (_request, reply) =>
        reply.header('cache-control', 'no-cache').sendFile(name, { cacheControl: false }),
      )
  })
}

/**
 * The path under which browsers reach the API: the path of PUBLIC_URL, which a proxy may strip, then BASE_PATH, with a
 * trailing slash.
 */
export function pathOfApi({ publicUrl, basePath }: Pick<Config, 'publicUrl' | 'basePath'>): string {
  const path = publicUrl === undefined ? '/' : new URL(publicUrl).pathname
  return `${path.replace(/\/+$/, '')}${basePath}/`
}

function securityPolicy(styles: string): string {
  return [
    "default-src 'self'",
    `style-src ${styles}`,
    // https: pictures of users of another application are on its servers.
    "img-src 'self' https: data: blob:",
    "media-src 'self' blob:",
    "object-src 'none'",
    "base-uri 'self'",
    "form-action 'self'",
    "frame-ancestors 'none'",
  ].join(';')
}

/** A URL with an extension names a file, unless it is a page of the console, such as /console/tables/notify.inbox. */
function isFile({ url }: FastifyRequest): boolean {
  const [path = ''] = url.split('?', 1)
  return /\.\w+$/.test(path) && !path.includes('/console/')
}

/**
 * True if the Accept header contains HTML, and JSON is absent, has a lower quality or comes later (RFC 9110, section
 * 12.5.1).
 */
export function prefersHtml(accept = ''): boolean {
  const ranges = accept.split(',').map((range, place) => {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase())
    const quality = parameters.find((parameter) => parameter.startsWith('q='))
    return { type, place, quality: quality === undefined ? 1 : Number(quality.slice(2)) || 0 }
  })
  const html = ranges.find(({ type }) => type === 'text/html')
  const json = ranges.find(({ type }) => type === 'application/json')
  if (!html || html.quality === 0) return false
  if (!json) return true
  return html.quality > json.quality || (html.quality === json.quality && html.place < json.place)
}

const landingStyle = `:root{color-scheme:light dark}body{font:1rem/1.5 system-ui,sans-serif;max-inline-size:44rem;margin:15vh auto;padding:0 1.5rem}
pre{white-space:pre-wrap;overflow-wrap:anywhere;padding:1rem;border:1px solid;border-radius:.6rem;font-size:.8125rem}code{font-weight:600}`
const landingPolicy = securityPolicy(`'sha256-${createHash('sha256').update(landingStyle).digest('base64')}'`)

/** Shown while the app is not built. Reloads itself until the app is available. */
function sendLanding(reply: FastifyReply, web: Web): void {
  const { running, log } = web.build()
  const text = running
    ? ['Building the web app', '<p>This takes a few seconds. The page reloads by itself; the API works already.</p>']
    : [
        'The web app is not built',
        '<p>The API works. To build the web app, run <code>npm run web:build</code> and reload this page.</p>',
        log === undefined ? '' : `<pre>${escapeHtml(log)}</pre>`,
      ]
  const [title, ...body] = text
  reply
    .code(503)
    .header('retry-after', 1)
    .header('content-security-policy', landingPolicy)
    .send(`<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="refresh" content="${running ? 1 : 10}"><title>${title} – Ravenpost</title><style>${landingStyle}</style>
<h1>${title}</h1>${body.join('')}<p><a href="docs">API documentation</a></p></html>`)
}
