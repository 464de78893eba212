import pg from 'pg'
import type { Logger } from 'pino'
import type { Config } from '../config.ts'

/** Maximum idle time inside a transaction. A paused process loses its locks after it. */
const IDLE_IN_TRANSACTION_MS = 10_000
/**
 * Timeout of a query. TCP takes a quarter of an hour to give up a dead connection, and a waiting statement would stop a
 * lane. The timeout is much longer than any statement, because work comes in batches and chunks.
 */
const QUERY_TIMEOUT_MS = 30_000

export type PoolOptions = {
  url: string
  size: number
  log: Logger
  name: string
  settings?: string
  /** Whether statements are pipelined; not in graphile-worker's pool. */
  pipeline?: boolean
  /** A statement without a response for this long fails, and its connection is replaced. */
  queryTimeoutMs?: number
  /** Whether a transaction pooler is used; see `isPooled`. */
  pooled?: boolean
  /** Runs on each new connection before its first use. If it rejects, the connection fails. */
  onConnect?: (client: pg.ClientBase, log: Logger) => Promise<void>
}

/** Open pools of this process with their names, for the metrics. */
export const openPools = new Map<pg.Pool, string>()

/**
 * random_page_cost assumes memory or an SSD: with the default, a batch of a thousand lookups becomes a scan of the
 * whole table. enable_seqscan=off does the same for young tables without statistics; every statement has its index.
 * int8 arrives as string, timestamptz as Date.
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
  // The pool replaces an idle connection that breaks. Without a listener, the error would end the process.
  pool.on('error', (error) => log.warn({ err: error, pool: name }, 'lost an idle database connection'))
  // A connection that breaks in use fails its query. This listener keeps the process alive.
  pool.on('connect', (client) =>
    client.on('error', (error) => log.debug({ err: error, pool: name }, 'lost a connection')),
  )
  if (pooled) pool.on('connect', forgetNames)
  openPools.set(pool, name)
  return pool
}

/** How often the server checks whether the client of a running statement is still connected. */
const CHECK_CLIENT_MS = 2_000

/**
 * Options for a connection with the client timeout `queryTimeoutMs`: the server cancels a statement slightly earlier,
 * and soon after its client disconnects, so that no locks remain. A transaction pooler ignores them; see
 * docs/operations.md.
 */
export function timeLimits(queryTimeoutMs: number): string {
  return `-c statement_timeout=${Math.ceil(0.9 * queryTimeoutMs)} -c client_connection_check_interval=${CHECK_CLIENT_MS}`
}

/** DATABASE_URL_DIRECT is set if DATABASE_URL leads through a transaction pooler. */
export function isPooled({
  databaseUrl,
  databaseUrlDirect,
}: Pick<Config, 'databaseUrl' | 'databaseUrlDirect'>): boolean {
  return databaseUrl !== databaseUrlDirect
}

/**
 * A pooler may use another server connection per transaction, without the prepared statement or with a different one of
 * that name. So statements are sent without names and parsed each time.
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

/** Whether a statement timed out without a response. A next query on its connection would wait behind it. */
export function isQueryTimeout(error: unknown): boolean {
  return error instanceof Error && error.message === 'Query read timeout'
}
