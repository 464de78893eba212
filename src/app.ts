import { join } from 'node:path'
import type { Kysely } from 'kysely'
import type pg from 'pg'
import type { Logger } from 'pino'
import { createWakeUps, type WakeUps } from './base/wake-ups.ts'
import type { Config } from './config.ts'
import { createKysely } from './db/kysely.ts'
import { LongReads } from './db/long-reads.ts'
import { createPool, isPooled } from './db/pool.ts'
import type { DB } from './db/tables.ts'
import type { Sessions } from './http/identity.ts'
import { Reader } from './http/shown-sql/reader.ts'
import { checkInstallation } from './notify/outbox/adopt.ts'
import { NotificationTypes } from './notify/types/types.ts'
import { createIdentityProvider } from './social/identity-provider/provider.ts'
import { RevokedSessions } from './social/sessions/revoked-sessions.ts'
import { createSessions } from './social/sessions/tokens.ts'

/** Services that every part of a process uses. Contains nothing about roles, HTTP or sockets. */
export type App = {
  config: Config
  log: Logger
  /** The pool for requests, dispatching and push queries. int8 arrives as string, timestamptz as Date. */
  pool: pg.Pool
  /** Kysely on the same pool: camelCase in TypeScript, snake_case in SQL; nested JSON is not converted. */
  db: Kysely<DB>
  /** Reads for the console, each of which shows its statement. */
  reader: Reader
  /** Estimates and dry runs, which read whole audiences. */
  longReads: LongReads
  types: NotificationTypes
  wakeUps: WakeUps
  revokedSessions: RevokedSessions
  sessions: Sessions
}

/**
 * Lock timeout of single statements, including the batches of likes; transactions set their own. After it, a request is
 * answered with 503.
 */
const LOCK_TIMEOUT_MS = 2_000

/** Timeout of a statement. If the network silently drops packets, connections are replaced after this time. */
const QUERY_TIMEOUT_MS = 10_000

/** Folder of the console's statements, one file each. */
const STATEMENTS = join(import.meta.dirname, 'ops/console/sql')

export function createApp(config: Config, log: Logger): App {
  const settings = `-c lock_timeout=${LOCK_TIMEOUT_MS}`
  const [url, size, queryTimeoutMs] = [config.databaseUrl, config.poolSize, QUERY_TIMEOUT_MS]
  const pool = createPool({
    url,
    size,
    log,
    name: 'app',
    settings,
    queryTimeoutMs,
    pooled: isPooled(config),
    onConnect: checkInstallation,
  })
  const revokedSessions = new RevokedSessions(config.accessTokenTtl)
  const provider = config.identityProvider && createIdentityProvider({ pool, log, config }, config.identityProvider)
  return {
    config,
    log,
    pool,
    db: createKysely(pool),
    reader: new Reader({ config, log, folder: STATEMENTS }),
    longReads: new LongReads({ config, log }),
    types: new NotificationTypes(pool, log),
    wakeUps: createWakeUps(pool, log, config.wakeUps),
    revokedSessions,
    sessions: createSessions(config, provider),
  }
}

/** Sends the last wake-ups and closes the pool. Call it after everything that uses them has stopped. */
export async function closeApp(app: App): Promise<void> {
  await app.wakeUps.close()
  await app.reader.close()
  await app.longReads.close()
  await app.db.destroy()
  // `destroy` does not end a pool that Kysely has not used.
  if (!app.pool.ending) await app.pool.end()
}
