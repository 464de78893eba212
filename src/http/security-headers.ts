import type { ServerResponse } from 'node:http'
import type { FastifyInstance } from 'fastify'
import helmet from 'helmet'
import type { Config } from '../config.ts'
import { isHttps } from './origin.ts'

const YEAR_SECONDS = 365 * 24 * 60 * 60

/**
 * What browsers are told about every answer; the pages served here load nothing from elsewhere and stand in nobody's frame.
 * It depends on https alone, so helmet is asked once for each: its Fastify plugin builds the policy anew for each request.
 */
export function sendSecurityHeaders(server: FastifyInstance, config: Config): void {
  const [plain, secure] = [headersOf(false), headersOf(true)]
  server.addHook('onRequest', (request, reply, done) => {
    reply.headers(isHttps(request, config) ? secure : plain)
    done()
  })
}

function headersOf(https: boolean): Record<string, string> {
  const apply = helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'self'"],
        // The pages of /docs set styles from their script.
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
  // Caches of browsers and CDNs need not obey Authorization. A route whose answer may be kept sets its own.
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
