import pg from 'pg'
import type { Logger } from 'pino'
import type { Config } from '../config.ts'

/** How long a transaction may stand idle: a process that is stopped but not dead loses its locks after this. */
const IDLE_IN_TRANSACTION_MS = 10_000
/**
 * TCP alone takes a quarter of an hour to give up on bytes that nobody acknowledges, and a statement that waits meanwhile would
 * stop a lane. Far above what any statement of ours takes: work comes in batches and chunks.
 */
const QUERY_TIMEOUT_MS = 30_000

export type PoolOptions = {
  url: string
  size: number
  log: Logger
  name: string
  settings?: string
  /** Whether statements are sent without waiting for the answers to those before; graphile-worker's pool does without. */
  pipeline?: boolean
  /** A statement without an answer for so long fails, and its connection is replaced: the network may have swallowed it. */
  queryTimeoutMs?: number
  /** Whether a transaction pooler is in between; see `isPooled`. */
  pooled?: boolean
  /** Runs on each new connection before its first use; the connection fails when it rejects. */
  onConnect?: (client: pg.ClientBase, log: Logger) => Promise<void>
}

/** The pools of this process that are not closed, with their names; for the metrics. */
export const openPools = new Map<pg.Pool, string>()

/**
 * Pages are taken to be in memory or on an SSD (random_page_cost):
 * with the default, a batch of a thousand look-ups becomes a scan of the whole table; so it does while a young table has no
 * statistics, hence enable_seqscan=off: every statement of ours has its index. int8 comes back as string, timestamptz as Date.
 */
export function createPool({
  url,
  size,
  log,
  name,
  settings = '',
  pipeline = true,
  queryTimeoutMs = QUERY_TIMEOUT_MS,
  pooled = false,
  onConnect,
}: PoolOptions): pg.Pool {
  const pool = new pg.Pool({
    connectionString: url,
    max: size,
    pipeline,
    application_name: `ravenpost ${name}`,
    connectionTimeoutMillis: 10_000,
    idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS,
    query_timeout: queryTimeoutMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    options: `-c random_page_cost=1.1 -c enable_seqscan=off -c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3 -c tcp_user_timeout=20000 -c jit=off ${timeLimits(queryTimeoutMs)} ${settings}`,
    onConnect: (client) => onConnect?.(client, log),
  })
  // An idle connection that breaks is replaced by the pool; without a listener it would end the process.
  pool.on('error', (error) => log.warn({ err: error, pool: name }, 'lost an idle database connection'))
  // One that breaks while it is in use fails its query; this listener keeps the process alive.
  pool.on('connect', (client) =>
    client.on('error', (error) => log.debug({ err: error, pool: name }, 'lost a connection')),
  )
  if (pooled) pool.on('connect', forgetNames)
  openPools.set(pool, name)
  return pool
}

/** How often the server looks whether the client of a running statement is still there. */
const CHECK_CLIENT_MS = 2_000

/**
 * Options for a connection whose client gives a statement up after `queryTimeoutMs`: the server ends it a little earlier, and soon
 * after its client is gone, so that it does not hold its locks for nobody. A transaction pooler ignores them; see docs/operations.md.
 */
export function timeLimits(queryTimeoutMs: number): string {
  return `-c statement_timeout=${Math.ceil(0.9 * queryTimeoutMs)} -c client_connection_check_interval=${CHECK_CLIENT_MS}`
}

/** DATABASE_URL_DIRECT is set where DATABASE_URL leads through a transaction pooler. */
export function isPooled({
  databaseUrl,
  databaseUrlDirect,
}: Pick<Config, 'databaseUrl' | 'databaseUrlDirect'>): boolean {
  return databaseUrl !== databaseUrlDirect
}

/**
 * A pooler may run the next transaction on another connection to the server, which has not prepared the statement of that name,
 * or has one of somebody else's. So statements go without their names, and are parsed each time.
 */
function forgetNames(client: pg.PoolClient): void {
  const { query } = client
  const unnamed = (first: unknown, ...others: unknown[]) =>
    Reflect.apply(query, client, [isNamed(first) ? { ...first, name: undefined } : first, ...others])
  Object.assign(client, { query: unnamed })
}

function isNamed(statement: unknown): statement is { name: string } {
  return typeof statement === 'object' && statement !== null && 'name' in statement && 'text' in statement
}

/** Whether a statement was given up because no answer came: what is asked next on its connection would wait behind it. */
export function isQueryTimeout(error: unknown): boolean {
  return error instanceof Error && error.message === 'Query read timeout'
}
