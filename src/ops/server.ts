import { type FastifyBaseLogger, type FastifyInstance, fastify, LogController } from 'fastify'
import type { App } from '../app.ts'
import { requireAccessToken } from '../http/authentication.ts'
import { answerProblems } from '../http/problem.ts'
import { type OpsOptions, opsRoutes } from './routes.ts'

/** What a process without the api role serves: health, readiness and metrics. */
export async function createOpsServer(app: App, options: OpsOptions): Promise<FastifyInstance> {
  const logger: FastifyBaseLogger = app.log
  const server = fastify({ loggerInstance: logger, logController: new LogController({ disableRequestLogging: true }) })
  answerProblems(server)
  requireAccessToken(server, app.config)
  await server.register(opsRoutes(app, options))
  return server
}
