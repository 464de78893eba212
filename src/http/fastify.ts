import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import { type FastifyBaseLogger, type FastifyInstance, fastify, LogController } from 'fastify'
import type { App } from '../app.ts'
import { answerMalformedRequest, answerProblems, sendProblem } from './problem.ts'
import { requestIdOf, sendRequestId } from './request-id.ts'
import { parseJsonBodies } from './validation.ts'

/** The largest body of the contract is 10,000 recipients' ids; this leaves room for it. */
const BODY_LIMIT = 512 * 1024

/** A server without routes: request ids, logs, JSON bodies, problems. */
export function createFastify(app: App) {
  const logger: FastifyBaseLogger = app.log
  const server = fastify({
    loggerInstance: logger,
    genReqId: requestIdOf,
    logController: new LogController({ requestIdLogLabel: 'requestId', disableRequestLogging: true }),
    bodyLimit: BODY_LIMIT,
    frameworkErrors: (error, request, reply) => {
      sendProblem(error, request, reply.header('x-request-id', request.id))
    },
    clientErrorHandler: answerMalformedRequest,
  }).withTypeProvider<TypeBoxTypeProvider>()

  sendRequestId(server)
  logAnswers(server)
  parseJsonBodies(server)
  answerProblems(server)
  return server
}

/** One line per answer, without the query: it may hold what nobody else should read. */
function logAnswers(server: FastifyInstance): void {
  server.addHook('onResponse', async (request, reply) => {
    const { method, url, log } = request
    const path = url.split('?', 1)[0]
    log.info({ method, path, status: reply.statusCode, ms: Math.round(reply.elapsedTime * 10) / 10 }, 'answered')
  })
}
