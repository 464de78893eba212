import pg from 'pg'
import type { Logger } from 'pino'
import type { Config } from '../config.ts'
import type { OnClose } from '../lifetime.ts'
import { renewEpoch } from '../outbox/adopt.ts'
import type { Role } from '../role.ts'
import { keepSecrets } from '../secrets.ts'
import { StartError } from '../start-error.ts'
import { noteFiles, wasCopied } from './copied.ts'
import { startEmbedded } from './embedded.ts'
import { migrate, pendingMigrations } from './migrate.ts'
import { isPooled } from './pool.ts'

/**
 * The configuration with a database that is up to date: the embedded one when none is given. The role `all` migrates by
 * itself; the others want it done before, so that a rolling update decides when.
 * @throws {StartError} when migrations are missing, or a single role is to run without DATABASE_URL
 */
export async function openDatabase(config: Config, role: Role, log: Logger, onClose: OnClose): Promise<Config> {
  if (role === 'all') {
    const opened = config.embedded ? await openEmbedded(config, log, onClose) : config
    await migrate(opened.databaseUrlDirect, log)
    if (config.embedded) await noticeCopy(opened, log)
    await checkPooler(opened, log)
    return opened
  }
  if (config.embedded)
    throw new StartError(`The role ${role} needs DATABASE_URL: the embedded PostgreSQL is for the role all`)
  await refuseIfOutdated(config)
  await checkPooler(config, log)
  return config
}

async function openEmbedded(config: Config, log: Logger, onClose: OnClose): Promise<Config> {
  const { url, stop } = await startEmbedded(config.dataDir, log)
  onClose('postgres', stop)
  const { jwtSecret } = await keepSecrets(config.dataDir)
  return { ...config, databaseUrl: url, databaseUrlDirect: url, jwtSecret: config.jwtSecret || jwtSecret }
}

/** A data directory that was put back is an earlier state of the same cluster: only the clients have to know. */
async function noticeCopy({ dataDir, databaseUrl }: Config, log: Logger): Promise<void> {
  if (await wasCopied(dataDir)) {
    const client = new pg.Client({ connectionString: databaseUrl })
    await client.connect()
    await renewEpoch(client, log, { onlyIfDifferent: false }).finally(() => client.end())
  }
  await noteFiles(dataDir)
}

async function refuseIfOutdated(config: Config): Promise<void> {
  const pool = new pg.Pool({ connectionString: config.databaseUrl, max: 1 })
  try {
    const missing = await pendingMigrations(pool)
    if (missing.length > 0)
      throw new StartError(`The database lacks the migrations ${missing.join(', ')}: run npm run migrate first`)
  } finally {
    await pool.end()
  }
}

/** Time limits are asked for at each connection, which a transaction pooler ignores: it has to set them itself. */
async function checkPooler(config: Config, log: Logger): Promise<void> {
  if (!isPooled(config)) return
  const pool = new pg.Pool({ connectionString: config.databaseUrl, max: 1 })
  try {
    const { rows } = await pool.query<{ ms: string }>(
      `select setting as ms from pg_settings where name = 'statement_timeout'`,
    )
    if (rows[0]?.ms === '0')
      log.warn(
        'the pooler of DATABASE_URL sets no statement_timeout, so statements may hold locks for clients that are gone: see connect_query in the README',
      )
  } finally {
    await pool.end()
  }
}
