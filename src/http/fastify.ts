import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import { type FastifyBaseLogger, type FastifyInstance, type FastifyRequest, fastify, LogController } from 'fastify'
import type { App } from '../app.ts'
import { answerMalformedRequest, answerProblems, sendProblem } from './problem.ts'
import { MAX_HEADER_BYTES, type Timeouts, timeouts } from './timeouts.ts'
import { buildSerializers, parseJsonBodies } from './validation.ts'

/**
 * Maximum size of a body. The longest post takes 60 KB in its longest encoding. Routes with larger bodies set their own
 * limit.
 */
const BODY_LIMIT = 128 * 1024

/**
 * Maximum length of a path parameter. An external id has up to 255 characters, each of which may be percent-encoded.
 */
const MAX_PARAM_LENGTH = 3 * 255

/** A server without routes: request ids, logs, JSON bodies and problems. */
export function createFastify(app: App, limits: Partial<Timeouts> = {}) {
  const logger: FastifyBaseLogger = app.log
  const { headers, request, idle, keepAlive, check } = { ...timeouts, ...limits }
  const server = fastify({
    loggerInstance: logger,
    genReqId: requestIdOf,
    rewriteUrl: ({ url = '/' }) => withoutBase(url, app.config.basePath),
    logController: new LogController({ requestIdLogLabel: 'requestId', disableRequestLogging: true }),
    bodyLimit: BODY_LIMIT,
    routerOptions: { maxParamLength: MAX_PARAM_LENGTH },
    // Without a trusted proxy, `X-Forwarded-For` is only a claim of the client and is ignored.
    trustProxy: app.config.trustedProxies.length > 0 && app.config.trustedProxies,
    requestTimeout: request,
    connectionTimeout: idle,
    keepAliveTimeout: keepAlive,
    http: { headersTimeout: headers, connectionsCheckingInterval: check, maxHeaderSize: MAX_HEADER_BYTES },
    schemaController: { compilersFactory: { buildSerializer: buildSerializers } },
    frameworkErrors: (error, request, reply) => {
      sendProblem(error, request, reply.header('x-request-id', request.id))
    },
    clientErrorHandler: answerMalformedRequest,
  }).withTypeProvider<TypeBoxTypeProvider>()

  endConnections(server)
  sendRequestId(server)
  logAnswers(server)
  parseJsonBodies(server)
  answerProblems(server)
  return server
}

/** Time for requests in progress when the server closes. The whole process has 9 s (lifetime.ts). */
const CLOSE_WITHIN_MS = 4_000

/**
 * A closing server waits for its connections, including silent or slow ones that browsers and proxies opened ahead, and
 * no longer enforces time limits on them.
 */
function endConnections(server: FastifyInstance): void {
  let timer: NodeJS.Timeout | undefined
  server.addHook('preClose', async () => {
    timer = setTimeout(() => server.server.closeAllConnections(), CLOSE_WITHIN_MS)
  })
  server.addHook('onClose', async () => clearTimeout(timer))
}

/** One line per response. It omits the query, which may contain private data. */
function logAnswers(server: FastifyInstance): void {
  server.addHook('onResponse', (request, reply, done) => {
    const { method, log } = request
    const path = pathToLog(request)
    log.info({ method, path, status: reply.statusCode, ms: Math.round(reply.elapsedTime * 10) / 10 }, 'answered')
    done()
  })
}

/**
 * A token in a path is a secret. Logs the pattern of the route instead, or, when no route matches, removes segments
 * that are too long for anything else.
 */
function pathToLog({ url, routeOptions: { url: pattern } }: FastifyRequest): string {
  if (pattern?.includes('/:token')) return pattern
  const path = url.split('?', 1)[0] ?? ''
  return pattern === undefined ? path.replace(/[^/]{40,}/g, '…') : path
}

/** The client's request id if it is safe to log and to store, otherwise a new one. */
export function requestIdOf({ headers }: Pick<IncomingMessage, 'headers'>): string {
  const given = headers['x-request-id']
  return typeof given === 'string' && /^[A-Za-z0-9][\w.:+/=-]{0,127}$/.test(given) ? given : randomUUID()
}

/** Every response carries the request id; events and frames carry the same id. */
export function sendRequestId(server: FastifyInstance): void {
  server.addHook('onRequest', (request, reply, done) => {
    reply.header('x-request-id', request.id)
    done()
  })
}

/** The URL without BASE_PATH, as routes know it. Every call also works below BASE_PATH. */
export function withoutBase(url: string, basePath: string): string {
  if (basePath === '' || !url.startsWith(basePath)) return url
  const rest = url.slice(basePath.length)
  if (rest.startsWith('/')) return rest
  return rest === '' || rest.startsWith('?') ? `/${rest}` : url
}
