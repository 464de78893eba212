import { readdir, readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { runMigrations } from 'graphile-worker'
import pg from 'pg'
import type { Logger } from 'pino'
import { isLockTimeout, sqlState } from '../base/failure.ts'
import { StartError } from '../base/process/start-error.ts'
import type { Queryable } from './client.ts'

/** Files listed in released.json are never edited; changes go into new files. Other files are edited in place. */
const ours = new URL('../../migrations/', import.meta.url)

/**
 * Maximum wait of a migration for a table. Other transactions queue behind it, so it gives up and tries again. So
 * during a long `pg_dump` nobody else waits.
 */
const LOCK_TIMEOUT = '1s'
/** Migrations have no time limit, whatever the role's setting. A killed one releases its locks soon. */
const LIMITS = `-c lock_timeout=${LOCK_TIMEOUT} -c statement_timeout=0 -c client_connection_check_interval=2s`
const BETWEEN_TRIES_MS = 2000
/** Number of failed attempts for each log line. */
const TRIES_PER_LINE = 10

/**
 * Runs the missing migrations of graphile-worker and Ravenpost, each in its own transaction. Concurrent processes are
 * safe: one migrates, the others wait. Requires a direct connection, not a transaction pooler.
 * @param finish runs after the migrations and before anyone else can write
 * @param folder of the migrations, for tests
 * @returns the names of the migrations that ran now
 * @throws {StartError} when the database was migrated by a version with other migrations
 */
export async function migrateDatabase(
  url: string,
  log: Logger,
  finish: (client: pg.ClientBase, log: Logger) => Promise<void>,
  folder = ours,
): Promise<string[]> {
  const holder = new pg.Client({ connectionString: url, application_name: 'ravenpost migrate' })
  const client = new pg.Client({
    connectionString: url,
    application_name: 'ravenpost migrate',
    options: LIMITS,
  })
  try {
    await Promise.all([holder.connect(), client.connect()])
    await makeLists(holder)
    await holdLock(holder, log)
    await runOfGraphile(url, log)
    const ran = await runOurs(client, log, folder)
    await finish(client, log)
    await grantPrivileges(client, log)
    return ran
  } finally {
    await Promise.all([holder.end(), client.end()])
  }
}

/** Migrations of this version that the database has not run. */
export async function pendingMigrations(client: Queryable): Promise<string[]> {
  const done = new Set(await namesOfRun(client))
  return (await namesIn(ours)).filter((name) => !done.has(name))
}

/** The table of migrations and the row that serves as lock, in the format of Kysely's migrator. */
async function makeLists(client: pg.ClientBase): Promise<void> {
  const { rows } = await client.query(`select to_regclass('notify.migrations_lock') is not null as found`)
  if (rows[0]?.found) return
  try {
    await client.query(`
      create schema if not exists notify;
      create table if not exists notify.migrations (name varchar(255) primary key, timestamp varchar(255) not null);
      create table if not exists notify.migrations_lock (id varchar(255) primary key, is_locked integer not null default 0);
      insert into notify.migrations_lock (id) values ('migration_lock') on conflict do nothing`)
  } catch (error) {
    // Another process creates the same table at this moment.
    if (!['23505', '42P06', '42P07', '40P01'].includes(sqlState(error))) throw error
    await delay(100)
    await makeLists(client)
  }
}

/**
 * Locks the row of the migrations until `client` ends. A row instead of an advisory lock, which any role could take.
 */
async function holdLock(client: pg.ClientBase, log: Logger): Promise<void> {
  await patiently(log, 'the end of another process that migrates', () =>
    inTransaction(client, `select from notify.migrations_lock where id = 'migration_lock' for update`, { keep: true }),
  )
}

async function runOfGraphile(url: string, log: Logger): Promise<void> {
  const pgPool = new pg.Pool({ connectionString: url, max: 1, options: LIMITS })
  // graphile-worker requires these listeners on a given pool.
  const broken = (err: Error) => log.warn({ err }, 'lost a connection during a migration')
  pgPool.on('error', broken).on('connect', (client) => client.on('error', broken))
  await patiently(log, "graphile-worker's tables", () => runMigrations({ pgPool })).finally(() => pgPool.end())
}

async function runOurs(client: pg.ClientBase, log: Logger, folder: URL): Promise<string[]> {
  const pending = await nextMigrations(client, folder)
  for (const name of pending) {
    const text = await readFile(new URL(`${name}.sql`, folder), 'utf8')
    const noted = `insert into notify.migrations (name, timestamp) values ('${name}', to_char(now() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))`
    await patiently(log, `the tables of migration ${name}`, () => inTransaction(client, `${text};\n${noted}`))
    log.info({ migration: name }, 'migrated')
  }
  return pending
}

/**
 * The migrations to run. Migrations are only appended, so the executed ones must come first.
 * @throws {StartError} when they do not
 */
export async function nextMigrations(client: Queryable, folder = ours): Promise<string[]> {
  const [names, done] = [await namesIn(folder), await namesOfRun(client)]
  const at = done.findIndex((name, index) => names[index] !== name)
  const [run, brought] = [done[at], names[at]]
  if (run === undefined) return names.slice(done.length)
  if (names.includes(run))
    throw new StartError(
      `This version of Ravenpost brings the migration ${brought} before ${run}, which the database has run: no upgrade leads from that version to this one. Go on with that version, or start with a new database`,
    )
  // Later versions only append, so their names sort after all of these.
  if (run < (names.at(-1) ?? ''))
    throw new StartError(
      `The database is older than the first release of Ravenpost: it has run the migration ${run}, which does not exist any more, and cannot be upgraded. Drop the database (embedded: delete the directory DATA_DIR) and start again`,
    )
  throw new StartError(
    `The database has run the migration ${run}, which this version of Ravenpost does not have: start the version that made it, or restore a backup`,
  )
}

async function grantPrivileges(client: pg.Client, log: Logger): Promise<void> {
  client.on('notice', ({ message }) => log.warn(message))
  await patiently(log, 'tables to grant privileges on', () => inTransaction(client, 'select ops.grant_privileges()'))
}

/** Repeats until the locks are granted in time. */
async function patiently<T>(log: Logger, what: string, work: () => Promise<T>): Promise<T> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await work()
    } catch (error) {
      if (!isLockTimeout(error) && sqlState(error) !== '40P01') throw error
      if (attempt % TRIES_PER_LINE === 0) log.warn(`waiting for ${what}, locked by another transaction`)
      await delay(BETWEEN_TRIES_MS)
    }
  }
}

/** `keep`: leaves the transaction open, with its locks. */
async function inTransaction(client: pg.ClientBase, statements: string, { keep = false } = {}): Promise<void> {
  await client.query('begin')
  try {
    await client.query(`set local lock_timeout = '${LOCK_TIMEOUT}'`)
    await client.query(statements)
    if (!keep) await client.query('commit')
  } catch (error) {
    await client.query('rollback')
    throw error
  }
}

async function namesOfRun(client: Queryable): Promise<string[]> {
  const { rows: found } = await client.query(`select to_regclass('notify.migrations') is not null as found`)
  if (!found[0]?.found) return []
  const { rows } = await client.query<{ name: string }>('select name from notify.migrations order by name collate "C"')
  return rows.map((row) => row.name)
}

async function namesIn(folder: URL): Promise<string[]> {
  const files = await readdir(folder)
  return files
    .filter((file) => file.endsWith('.sql'))
    .map((file) => file.replace(/\.sql$/, ''))
    .sort()
}
