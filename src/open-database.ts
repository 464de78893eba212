import { randomBytes } from 'node:crypto'
import type { Logger } from 'pino'
import type { OnClose } from './base/process/lifetime.ts'
import type { Role } from './base/process/role.ts'
import { StartError } from './base/process/start-error.ts'
import { keepSecrets } from './base/secrets.ts'
import type { Config } from './config.ts'
import { withClient } from './db/client.ts'
import { noteFiles, wasCopied } from './db/embedded/copied.ts'
import { startEmbedded } from './db/embedded/embedded.ts'
import { nextMigrations, pendingMigrations } from './db/migrate.ts'
import { isPooled } from './db/pool.ts'
import { migrate } from './migrate.ts'
import { renewEpoch } from './notify/outbox/adopt.ts'

/**
 * The configuration with an up-to-date database: the embedded one if none is configured. The role `all` migrates when
 * it connects as the owner. Other roles require that the migrations have run, so that the operator decides when during
 * a rolling update.
 * @throws {StartError} when migrations are missing, or a single role runs without DATABASE_URL
 */
export async function openDatabase(config: Config, role: Role, log: Logger, onClose: OnClose): Promise<Config> {
  if (config.embedded) {
    if (role === 'all') return openEmbedded(config, log, onClose)
    throw new StartError(`The role ${role} needs DATABASE_URL: the embedded PostgreSQL is for the role all`)
  }
  if (role === 'all' && (await mayMigrate(config))) await migrate(config.databaseUrlDirect, log)
  else await refuseIfOutdated(config)
  await checkPooler(config, log)
  return config
}

async function openEmbedded(config: Config, log: Logger, onClose: OnClose): Promise<Config> {
  const { url, stop } = await startEmbedded(config.dataDir, log)
  onClose('postgres', stop)
  await migrate(url, log)
  await noticeCopy(config.dataDir, url, log)
  const { jwtSecret } = await keepSecrets(config.dataDir)
  const appUrl = await signInAsApp(url)
  return { ...config, databaseUrl: appUrl, databaseUrlDirect: appUrl, jwtSecret: config.jwtSecret || jwtSecret }
}

/** Only migrations use the owner of the database, here a superuser. Its password exists only in this process. */
async function signInAsApp(ownerUrl: string): Promise<string> {
  const password = randomBytes(32).toString('base64url')
  await withClient(ownerUrl, (client) => client.query(`alter role ravenpost_app login password '${password}'`))
  return Object.assign(new URL(ownerUrl), { username: 'ravenpost_app', password }).href
}

/** A restored data directory is an earlier state of the same cluster, so only clients have to be informed. */
async function noticeCopy(dataDir: string, ownerUrl: string, log: Logger): Promise<void> {
  if (await wasCopied(dataDir))
    await withClient(ownerUrl, (client) => renewEpoch(client, log, { onlyIfDifferent: false }))
  await noteFiles(dataDir)
}

/** True if this login may migrate. False for one like ravenpost_app, which does not own the tables. */
async function mayMigrate({ databaseUrlDirect }: Config): Promise<boolean> {
  const { rows } = await withClient(databaseUrlDirect, (client) =>
    client.query<{ owns: boolean }>(
      `select pg_has_role(nspowner, 'usage') as owns from pg_namespace where nspname = 'notify'`,
    ),
  )
  return rows[0]?.owns ?? true
}

async function refuseIfOutdated({ databaseUrl }: Config): Promise<void> {
  // In a rolling update the database may have run later migrations; those are not refused.
  const missing = await withClient(databaseUrl, pendingMigrations)
  if (missing.length === 0) return
  await withClient(databaseUrl, (client) => nextMigrations(client))
  throw new StartError(`The database lacks the migrations ${missing.join(', ')}: run npm run migrate first`)
}

/**
 * Warns if a transaction pooler sets no time limits. They are requested with each connection, but a transaction pooler
 * ignores the request, so it must set them itself.
 */
async function checkPooler(config: Config, log: Logger): Promise<void> {
  if (!isPooled(config)) return
  const { rows } = await withClient(config.databaseUrl, (client) =>
    client.query<{ ms: string }>(`select setting as ms from pg_settings where name = 'statement_timeout'`),
  )
  if (rows[0]?.ms === '0')
    log.warn(
      'the pooler in DATABASE_URL sets no statement_timeout, so statements of disconnected clients can hold locks: see connect_query in docs/operations.md',
    )
}
