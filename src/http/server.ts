import cookie from '@fastify/cookie'
import cors from '@fastify/cors'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import { type FastifyBaseLogger, type FastifyInstance, fastify } from 'fastify'
import { accountRoutes } from '../accounts/routes.ts'
import type { App } from '../app.ts'
import { followRoutes } from '../follows/routes.ts'
import { likeRoutes } from '../likes/routes.ts'
import { notificationRoutes } from '../notifications/routes.ts'
import { deadLetterRoutes } from '../ops/dead-letters.ts'
import { type OpsOptions, opsRoutes } from '../ops/routes.ts'
import { postRoutes } from '../posts/routes.ts'
import { userRoutes } from '../users/routes.ts'
import { requireAccessToken } from './authentication.ts'
import { describeApi } from './openapi.ts'
import { answerProblems, sendProblem } from './problem.ts'
import { requestIdOf, sendRequestId } from './request-id.ts'
import { parseJsonBodies, validateRequests } from './validation.ts'

/** The largest body of the contract is 10,000 recipients' ids; this leaves room for it. */
const BODY_LIMIT = 512 * 1024

/** The REST server with every feature's routes, not listening yet. */
export async function createServer(app: App, options: OpsOptions = {}): Promise<FastifyInstance> {
  const logger: FastifyBaseLogger = app.log
  const server = fastify({
    loggerInstance: logger,
    genReqId: requestIdOf,
    requestIdLogLabel: 'requestId',
    disableRequestLogging: true,
    bodyLimit: BODY_LIMIT,
    frameworkErrors: (error, request, reply) =>
      void sendProblem(error, request, reply.header('x-request-id', request.id)),
  }).withTypeProvider<TypeBoxTypeProvider>()

  sendRequestId(server)
  logAnswers(server)
  parseJsonBodies(server)
  answerProblems(server)
  await server.register(cookie)
  await server.register(cors, {
    origin: app.config.allowedOrigins,
    credentials: true,
    methods: ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'],
    exposedHeaders: ['x-request-id', 'retry-after'],
  })
  requireAccessToken(server, app.config)
  await describeApi(server, app.config)
  await server.register(async (features) => {
    validateRequests(features)
    for (const routes of [
      accountRoutes,
      userRoutes,
      followRoutes,
      postRoutes,
      likeRoutes,
      notificationRoutes,
      deadLetterRoutes,
    ])
      await features.register(routes(app))
    await features.register(opsRoutes(app, options))
  })
  return server
}

/** One line per answer; a stream of requests leaves no second line at its start. */
function logAnswers(server: FastifyInstance): void {
  server.addHook('onResponse', async (request, reply) => {
    const { method, url, log } = request
    const path = url.split('?', 1)[0]
    log.info({ method, path, status: reply.statusCode, ms: Math.round(reply.elapsedTime * 10) / 10 }, 'answered')
  })
}
