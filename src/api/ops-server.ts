import type { FastifyInstance } from 'fastify'
import type { App } from '../app.ts'
import { createFastify } from '../http/fastify.ts'
import { sendSecurityHeaders } from '../http/security-headers.ts'
import { countRequests } from '../ops/requests.ts'
import { type OpsOptions, opsRoutes } from '../ops/routes.ts'
import { socketRoute } from '../push/upgrade.ts'
import { requireAccessToken } from '../social/sessions/authentication.ts'

/** The HTTP server of a process without the api role: health, readiness and metrics. */
export async function createOpsServer(app: App, options: OpsOptions): Promise<FastifyInstance> {
  const server = createFastify(app)
  countRequests(server)
  await sendSecurityHeaders(server, app.config)
  requireAccessToken(server, app)
  await server.register(opsRoutes(app, options))
  await server.register(socketRoute)
  return server
}
