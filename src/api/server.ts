import cors from '@fastify/cors'
import type { FastifyInstance } from 'fastify'
import type { App } from '../app.ts'
import { noticeUntrustedProxy } from '../http/client-address.ts'
import { deferFrequentWrites } from '../http/deferrable.ts'
import { createFastify } from '../http/fastify.ts'
import { noteRefusedOrigins } from '../http/origin.ts'
import { sealCursors } from '../http/paging.ts'
import { limitRates } from '../http/rate-limits.ts'
import { sendSecurityHeaders } from '../http/security-headers.ts'
import type { Timeouts } from '../http/timeouts.ts'
import { validateRequests } from '../http/validation.ts'
import { emailRoutes } from '../notify/channels/email/routes.ts'
import { pushRoutes } from '../notify/channels/web-push/routes.ts'
import { countWith } from '../notify/counters.ts'
import { dispatchWith } from '../notify/dispatch/dispatch.ts'
import { notificationRoutes } from '../notify/inbox/routes.ts'
import { watchLog } from '../notify/outbox/adopt.ts'
import { preferenceRoutes } from '../notify/preferences/routes.ts'
import { sendRoutes } from '../notify/sends/routes.ts'
import { templateRoutes } from '../notify/templates/routes.ts'
import { typeRoutes } from '../notify/types/routes.ts'
import { webhookRoutes } from '../notify/webhooks/routes.ts'
import { auditRoutes } from '../ops/audit.ts'
import { consoleRoutes } from '../ops/console/routes.ts'
import { deadLetterRoutes } from '../ops/dead-letters.ts'
import { countRequests } from '../ops/requests.ts'
import { type OpsOptions, opsRoutes } from '../ops/routes.ts'
import { traceRoutes } from '../ops/trace.ts'
import { whyNotRoutes } from '../ops/why-not.ts'
import { socketRoute } from '../push/upgrade.ts'
import { meRoutes } from '../social/accounts/me-routes.ts'
import { roleRoutes } from '../social/accounts/role-routes.ts'
import { accountRoutes } from '../social/accounts/routes.ts'
import { actions } from '../social/actions.ts'
import { bellRoutes } from '../social/bells/routes.ts'
import { silenceRoutes } from '../social/blocks/routes.ts'
import { bookmarkRoutes } from '../social/bookmarks/routes.ts'
import { broadcastRoutes } from '../social/broadcasts.ts'
import { commentRoutes } from '../social/comments/routes.ts'
import { demoRoutes } from '../social/demo/routes.ts'
import { externalUserRoutes, nameUsersByExternalId } from '../social/external-users/routes.ts'
import { followRoutes } from '../social/follows/routes.ts'
import { likeRoutes } from '../social/likes/routes.ts'
import { mediaRoutes } from '../social/media/routes.ts'
import { requireReauthentication } from '../social/passwords/reauthentication.ts'
import { passwordRoutes } from '../social/passwords/routes.ts'
import { postRoutes } from '../social/posts/routes.ts'
import { segmentRoutes } from '../social/segments/routes.ts'
import { serviceTokenRoutes } from '../social/service-tokens/routes.ts'
import { recogniseUsers, requireAccessToken } from '../social/sessions/authentication.ts'
import { userRoutes } from '../social/users/routes.ts'
import { describeApi } from './openapi.ts'
import { serveWeb } from './web.ts'
import type { Web } from './web-build.ts'

const features = [
  accountRoutes,
  passwordRoutes,
  meRoutes,
  roleRoutes,
  userRoutes,
  externalUserRoutes,
  followRoutes,
  bellRoutes,
  postRoutes,
  likeRoutes,
  commentRoutes,
  bookmarkRoutes,
  mediaRoutes,
  notificationRoutes,
  typeRoutes,
  templateRoutes,
  segmentRoutes,
  broadcastRoutes,
  preferenceRoutes,
  silenceRoutes,
  emailRoutes,
  pushRoutes,
  auditRoutes,
  consoleRoutes,
  deadLetters,
  traceRoutes,
  whyNotRoutes,
  sendRoutes,
  serviceTokenRoutes,
  webhookRoutes,
]

/** The routes of dead letters. Their dry run applies an event with the consumers of the worker. */
function deadLetters(app: App) {
  return deadLetterRoutes(app, (types) => ({
    notifications: dispatchWith({ current: async () => types }, actions),
    counters: countWith(actions),
  }))
}

export type ServerOptions = OpsOptions & {
  timeouts?: Partial<Timeouts>
  /** The web app to serve; without it, none is served. */
  web?: Web
}

/** The REST server with all routes. It does not listen yet. */
export async function createServer(app: App, options: ServerOptions = {}): Promise<FastifyInstance> {
  const server = createFastify(app, options.timeouts)
  countRequests(server)
  sendSecurityHeaders(server, app.config)
  noticeUntrustedProxy(server, app)
  if (options.web) await serveWeb(server, app, options.web)
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
  noteRefusedOrigins(server, app)
  deferFrequentWrites(server, app.config)
  // Registered after CORS, so that pages of allowed origins can read a 401 or 429.
  recogniseUsers(server, app)
  watchLog(server, app)
  limitRates(server, app)
  requireAccessToken(server, app)
  requireReauthentication(server, app)
  await describeApi(server, app.config)
  await server.register(async (scope) => {
    validateRequests(scope)
    sealCursors(scope, app.config)
    nameUsersByExternalId(scope, app)
    for (const routes of features) await scope.register(named(routes.name, routes(app)))
    if (app.config.demo) await scope.register(demoRoutes(app))
    await scope.register(opsRoutes(app, options))
    await scope.register(socketRoute)
  })
  return server
}

/** Names a plugin. Without a name, Fastify would compare it with every loaded module. */
function named<T extends object>(name: string, plugin: T): T {
  return Object.assign(plugin, { [Symbol.for('fastify.display-name')]: name })
}
