import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import type pg from 'pg'
import type { App } from '../app.ts'
import { within } from '../base/deadline.ts'
import { shared } from '../base/kept-for.ts'
import { listening, registry } from '../base/metrics.ts'
import { sameBytes } from '../base/signing.ts'
import { pendingMigrations } from '../db/migrate.ts'
import { createPool, isPooled } from '../db/pool.ts'
import { fail } from '../errors.ts'
import { bearerToken } from '../http/identity.ts'
import { createScrape } from './scrape.ts'

export type OpsOptions = {
  /** Whether this process' LISTEN connection is up; absent when the push role does not run here. */
  listenAlive?: () => boolean
}

/** A database that takes longer to answer is not ready to serve anyone. */
const READY_TIMEOUT_MS = 2_000
/** Of a statement for a scrape or a probe. Prometheus gives up after 10 s by default. */
const STATEMENT_TIMEOUT_MS = 5_000
/** Nobody waits for a scrape that is under way when the process stops. */
const CLOSE_MS = 1_000
/** For so long the answer to one scrape or probe is the answer to all: anybody may ask, any number of times. */
const KEPT_MS = 1_000

const metricsText = { description: 'Prometheus text', content: { 'text/plain': { schema: Type.String() } } }

const Ready = Type.Object({ ready: Type.Boolean(), reason: Type.Optional(Type.String()) })

/** Probes and scrapers come as often as they are set to. */
const unlimited = { public: true, rateLimit: 'off' } as const

/** For load balancers, orchestrators and Prometheus. */
export function opsRoutes(app: App, { listenAlive = () => true }: OpsOptions): FastifyPluginAsyncTypebox {
  const { config } = app
  return async (server) => {
    const pool = createOpsPool(app)
    server.addHook('onClose', () => within(CLOSE_MS, pool.end()).catch(() => undefined))
    const scrape = shared(KEPT_MS, createScrape(app, pool))
    const databaseNotReady = shared(KEPT_MS, () => findDatabaseNotReady(app, pool))

    // Asked every few seconds: only failures are worth a line of the log.
    server.addHook('onRoute', (route) => {
      route.logLevel = 'warn'
    })

    server.get(
      '/healthz',
      { config: unlimited, schema: { response: { 200: Type.Object({ alive: Type.Boolean() }) } } },
      async () => ({ alive: true }),
    )

    server.get(
      '/readyz',
      { config: unlimited, schema: { response: { 200: Ready, 503: Ready } } },
      async (_request, reply) => {
        const reason = (await databaseNotReady()) ?? (listenAlive() ? undefined : 'the LISTEN connection is down')
        return reply.code(reason ? 503 : 200).send({ ready: !reason, reason })
      },
    )

    server.get(
      '/metrics',
      { config: unlimited, schema: { response: { 200: metricsText } } },
      async (request, reply) => {
        const given = Buffer.from(bearerToken(request) ?? '')
        if (config.metricsToken && !sameBytes(Buffer.from(config.metricsToken), given)) throw fail('UNAUTHENTICATED')
        listening.set(listenAlive() ? 1 : 0)
        return reply.type(registry.contentType).send(await scrape())
      },
    )
  }
}

/** One connection for the scrape and one for the probe: neither waits for requests, nor do requests for them. */
function createOpsPool({ config, log }: App): pg.Pool {
  const url = config.databaseUrl
  const pooled = isPooled(config)
  return createPool({ url, size: 2, log, name: 'ops', queryTimeoutMs: STATEMENT_TIMEOUT_MS, pooled })
}

/** What is wrong with the database, for a person; undefined when nothing is. */
async function findDatabaseNotReady({ log }: App, pool: pg.Pool): Promise<string | undefined> {
  try {
    const missing = await within(READY_TIMEOUT_MS, pendingMigrations(pool))
    return missing.length > 0 ? `migrations have not been run: ${missing.join(', ')}` : undefined
  } catch (error) {
    log.warn({ err: error }, 'not ready: the database cannot be asked')
    return 'the database cannot be reached'
  }
}
