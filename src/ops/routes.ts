import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import type pg from 'pg'
import type { App } from '../app.ts'
import { within } from '../base/deadline.ts'
import { listening, registry } from '../base/metrics.ts'
import { sameBytes } from '../base/signing.ts'
import { pendingMigrations } from '../db/migrate.ts'
import { createPool, isPooled } from '../db/pool.ts'
import { fail } from '../errors.ts'
import { bearerToken } from '../http/identity.ts'
import { createScrape } from './scrape.ts'

export type OpsOptions = {
  /** True if the LISTEN connection of this process is up. Absent if the push role does not run here. */
  listenAlive?: () => boolean
}

/** Milliseconds after which a database counts as not ready. */
const READY_TIMEOUT_MS = 2_000
/** Timeout of a statement for a scrape or probe. Prometheus gives up after 10 s by default. */
const STATEMENT_TIMEOUT_MS = 5_000
/** Timeout at shutdown. Short, because a stopping process does not have to finish a scrape. */
const CLOSE_MS = 1_000
/**
 * Milliseconds for which one response serves all scrapes or probes. The routes are public, so their load must not depend on the
 * number of requests.
 */
const KEPT_MS = 1_000

const metricsText = { description: 'Prometheus text', content: { 'text/plain': { schema: Type.String() } } }

const Ready = Type.Object({ ready: Type.Boolean(), reason: Type.Optional(Type.String()) })

/** No limit, because the operator decides how often probes and scrapers call. */
const unlimited = { public: true, rateLimit: 'off' } as const

/** Routes for load balancers, orchestrators and Prometheus. */
export function opsRoutes(app: App, { listenAlive = () => true }: OpsOptions): FastifyPluginAsyncTypebox {
  const { config } = app
  return async (server) => {
    const pool = createOpsPool(app)
    server.addHook('onClose', () => within(CLOSE_MS, pool.end()).catch(() => undefined))
    const scrape = shared(KEPT_MS, createScrape(app, pool))
    const databaseNotReady = shared(KEPT_MS, () => findDatabaseNotReady(app, pool))

    // Probes call every few seconds, so only failures are logged.
    server.addHook('onRoute', (route) => {
      route.logLevel = 'warn'
    })

    server.get(
      '/healthz',
      {
        config: unlimited,
        schema: {
          tags: ['operation'],
          summary: 'Liveness probe',
          description: 'Restart the process when it fails. Does not look at the database.',
          answers: { 200: 'The process runs' },
          response: { 200: Type.Object({ alive: Type.Boolean() }) },
        },
      },
      async () => ({ alive: true }),
    )

    server.get(
      '/readyz',
      {
        config: unlimited,
        schema: {
          tags: ['operation'],
          summary: 'Readiness probe, with the reason when not ready',
          description:
            'Route traffic only to processes that are ready: database reachable, migrations current, LISTEN connected.',
          answers: { 200: 'Ready', 503: 'Not ready, with the reason' },
          response: { 200: Ready, 503: Ready },
        },
      },
      async (_request, reply) => {
        const reason = (await databaseNotReady()) ?? (listenAlive() ? undefined : 'the LISTEN connection is down')
        return reply.code(reason ? 503 : 200).send({ ready: !reason, reason })
      },
    )

    server.get(
      '/metrics',
      {
        config: unlimited,
        schema: {
          tags: ['operation'],
          summary: 'Metrics for Prometheus',
          description: 'Public unless `METRICS_TOKEN` is set; then it is the bearer token.',
          answers: { 200: 'Prometheus text format' },
          errors: ['UNAUTHENTICATED'],
          response: { 200: metricsText },
        },
      },
      async (request, reply) => {
        const given = Buffer.from(bearerToken(request) ?? '')
        if (config.metricsToken && !sameBytes(Buffer.from(config.metricsToken), given)) throw fail('UNAUTHENTICATED')
        listening.set(listenAlive() ? 1 : 0)
        return reply.type(registry.contentType).send(await scrape())
      },
    )
  }
}

/** A pool with one connection for the scrape and one for the probe, so that neither waits for the other or for requests. */
function createOpsPool({ config, log }: App): pg.Pool {
  const url = config.databaseUrl
  const pooled = isPooled(config)
  return createPool({ url, size: 2, log, name: 'ops', queryTimeoutMs: STATEMENT_TIMEOUT_MS, pooled })
}

/** The database's problem in words, or undefined when there is none. */
async function findDatabaseNotReady({ log }: App, pool: pg.Pool): Promise<string | undefined> {
  try {
    const missing = await within(READY_TIMEOUT_MS, pendingMigrations(pool))
    return missing.length > 0 ? `migrations have not been run: ${missing.join(', ')}` : undefined
  } catch (error) {
    log.warn({ err: error }, 'not ready: cannot query the database')
    return 'the database cannot be reached'
  }
}

/**
 * Runs `work` once at a time. Callers during a run, or within `keptMs` after it, share its result. So it runs at most
 * once per `keptMs`, for any number of callers.
 */
function shared<T>(keptMs: number, work: () => Promise<T>): () => Promise<T> {
  let outcome: Promise<T> | undefined
  const forgetLater = () => {
    setTimeout(() => {
      outcome = undefined
    }, keptMs).unref()
  }
  return () => {
    if (!outcome) {
      outcome = work()
      outcome.then(forgetLater, forgetLater)
    }
    return outcome
  }
}
