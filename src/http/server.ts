import cookie from '@fastify/cookie'
import cors from '@fastify/cors'
import type { FastifyInstance } from 'fastify'
import { accountRoutes } from '../accounts/routes.ts'
import type { App } from '../app.ts'
import { bellRoutes } from '../bells/routes.ts'
import { bookmarkRoutes } from '../bookmarks/routes.ts'
import { emailRoutes } from '../channels/email-routes.ts'
import { pushRoutes } from '../channels/push-routes.ts'
import { commentRoutes } from '../comments/routes.ts'
import { followRoutes } from '../follows/routes.ts'
import { likeRoutes } from '../likes/routes.ts'
import { mediaRoutes } from '../media/routes.ts'
import { notificationRoutes } from '../notifications/routes.ts'
import { typeRoutes } from '../notifications/type-routes.ts'
import { deadLetterRoutes } from '../ops/dead-letters.ts'
import { type OpsOptions, opsRoutes } from '../ops/routes.ts'
import { watchLog } from '../outbox/watch.ts'
import { postRoutes } from '../posts/routes.ts'
import { preferenceRoutes } from '../preferences/routes.ts'
import { sendRoutes } from '../sends/routes.ts'
import { serviceTokenRoutes } from '../service-tokens/routes.ts'
import { userRoutes } from '../users/routes.ts'
import { silenceRoutes } from '../users/silence-routes.ts'
import { recogniseUsers, requireAccessToken } from './authentication.ts'
import { noticeUntrustedProxy } from './client-address.ts'
import { sealCursors } from './cursors.ts'
import { createFastify } from './fastify.ts'
import { describeApi } from './openapi.ts'
import { limitRates } from './rate-limits.ts'
import { sendSecurityHeaders } from './security-headers.ts'
import type { Timeouts } from './timeouts.ts'
import { validateRequests } from './validation.ts'

const features = [
  accountRoutes,
  userRoutes,
  followRoutes,
  bellRoutes,
  postRoutes,
  likeRoutes,
  commentRoutes,
  bookmarkRoutes,
  mediaRoutes,
  notificationRoutes,
  typeRoutes,
  preferenceRoutes,
  silenceRoutes,
  emailRoutes,
  pushRoutes,
  deadLetterRoutes,
  sendRoutes,
  serviceTokenRoutes,
]

export type ServerOptions = OpsOptions & { timeouts?: Partial<Timeouts> }

/** The REST server with every feature's routes, not listening yet. */
export async function createServer(app: App, options: ServerOptions = {}): Promise<FastifyInstance> {
  const server = createFastify(app, options.timeouts)
  sendSecurityHeaders(server, app.config)
  noticeUntrustedProxy(server, app)
  await server.register(cookie)
  await server.register(cors, {
    origin: app.config.allowedOrigins,
    credentials: true,
    strictPreflight: false,
    methods: ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'],
    exposedHeaders: [
      'x-request-id',
      'retry-after',
      'ratelimit',
      'ratelimit-policy',
      'etag',
      'content-range',
      'idempotent-replayed',
    ],
  })
  // After CORS: a page of an allowed origin may read a 401 and a 429 too.
  recogniseUsers(server, app)
  watchLog(server, app)
  limitRates(server, app)
  requireAccessToken(server, app)
  await describeApi(server, app.config)
  await server.register(async (scope) => {
    validateRequests(scope)
    sealCursors(scope, app.config)
    for (const routes of features) await scope.register(routes(app))
    await scope.register(opsRoutes(app, options))
  })
  return server
}
