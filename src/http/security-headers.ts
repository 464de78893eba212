import type { ServerResponse } from 'node:http'
import type { FastifyInstance } from 'fastify'
import helmet from 'helmet'
import type { Config } from '../config.ts'
import { isHttps } from './origin.ts'

const YEAR_SECONDS = 365 * 24 * 60 * 60

/**
 * Security headers of every response. Our pages load nothing from elsewhere and cannot be framed. The headers depend
 * only on https, so helmet computes each set once; its Fastify plugin would do it per request. Public routes may answer
 * pages, which have some more; so does the web app.
 */
export function sendSecurityHeaders(server: FastifyInstance, config: Config): void {
  const [plain, secure] = [headersOf(false), headersOf(true)]
  server.addHook('onRequest', (request, reply, done) => {
    reply.headers(isHttps(request, config) ? secure : plain)
    if (request.routeOptions.config?.public) reply.headers(pageHeaders)
    done()
  })
}

/** Browsers apply these to documents only. Calls of the API, which answer JSON, are sent without them. */
const ofPages = new Set([
  'cross-origin-opener-policy',
  'origin-agent-cluster',
  'x-dns-prefetch-control',
  'x-download-options',
  'x-permitted-cross-domain-policies',
  'x-xss-protection',
])

function allHeaders(https: boolean): Record<string, string> {
  const apply = helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'self'"],
        // The script of the /docs pages sets inline styles.
        styleSrc: ["'self'", "'unsafe-inline'"],
        imgSrc: ["'self'", 'data:', 'blob:'],
        mediaSrc: ["'self'", 'blob:'],
        objectSrc: ["'none'"],
        baseUri: ["'none'"],
        formAction: ["'self'"],
        frameAncestors: ["'none'"],
      },
    },
    xFrameOptions: { action: 'deny' },
    strictTransportSecurity: https && { maxAge: YEAR_SECONDS },
  })
  // Browser and CDN caches may ignore Authorization. A route whose response is cacheable sets its own header.
  const headers: Record<string, string> = { 'cache-control': 'no-store' }
  const collector = {
    setHeader(name: string, value: string) {
      headers[name.toLowerCase()] = value
    },
    removeHeader() {},
  }
  apply({} as never, collector as unknown as ServerResponse, () => {})
  return headers
}

const headersOf = (https: boolean) =>
  Object.fromEntries(Object.entries(allHeaders(https)).filter(([name]) => !ofPages.has(name)))

export const pageHeaders = Object.fromEntries(Object.entries(allHeaders(false)).filter(([name]) => ofPages.has(name)))
