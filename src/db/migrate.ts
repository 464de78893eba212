import { readdir, readFile } from 'node:fs/promises'
import { runMigrations } from 'graphile-worker'
import { Kysely, PostgresDialect, sql } from 'kysely'
import { type Migration, Migrator } from 'kysely/migration'
import pg from 'pg'
import type { Logger } from 'pino'
import { checkInstallation } from '../outbox/adopt.ts'

const folder = new URL('../../migrations/', import.meta.url)

/** Key of the advisory lock that lets one process migrate at a time ('ravenpst' in ASCII). */
const MIGRATION_LOCK = '8241932264424895348'

/**
 * Brings graphile-worker's schema and ours up to date; safe when many processes start at once: one migrates, the others
 * wait and find nothing to do. Give it a direct connection, not one through a transaction pooler.
 * @returns the names of the migrations that were run now
 */
export async function migrate(url: string, log: Logger): Promise<string[]> {
  const lockHolder = new pg.Client({ connectionString: url, application_name: 'ravenpost migrate' })
  await lockHolder.connect()
  try {
    await lockHolder.query('select pg_advisory_lock($1)', [MIGRATION_LOCK])
    await runMigrations({ connectionString: url })
    const ran = await runOurs(url, log)
    // Before anybody else may write: emitted in a restored database that is not adopted, an event would never be read.
    await checkInstallation(lockHolder, log)
    await lockHolder.query('select ops.grant_privileges()')
    return ran
  } finally {
    await lockHolder.end()
  }
}

/** The migrations that this version brings and the database has not run yet. */
export async function pendingMigrations(pool: pg.Pool): Promise<string[]> {
  const { rows: found } = await pool.query(`select to_regclass('notify.migrations') is not null as found`)
  const done = found[0]?.found ? (await pool.query<{ name: string }>('select name from notify.migrations')).rows : []
  const names = new Set(done.map((row) => row.name))
  return Object.keys(await readMigrations()).filter((name) => !names.has(name))
}

async function runOurs(url: string, log: Logger): Promise<string[]> {
  const db = new Kysely<unknown>({
    dialect: new PostgresDialect({ pool: new pg.Pool({ connectionString: url, max: 1 }) }),
  })
  try {
    const migrator = new Migrator({
      db,
      provider: { getMigrations: readMigrations },
      migrationTableSchema: 'notify',
      migrationTableName: 'migrations',
      migrationLockTableName: 'migrations_lock',
    })
    const { error, results = [] } = await migrator.migrateToLatest()
    for (const { migrationName, status } of results) log.info({ migration: migrationName, status }, 'migration')
    if (error) throw error
    return results.map((result) => result.migrationName)
  } finally {
    await db.destroy()
  }
}

async function readMigrations(): Promise<Record<string, Migration>> {
  const files = (await readdir(folder)).filter((file) => file.endsWith('.sql')).sort()
  const entries = files.map(async (file): Promise<[string, Migration]> => {
    const text = await readFile(new URL(file, folder), 'utf8')
    return [file.replace(/\.sql$/, ''), { up: async (db) => void (await sql.raw(text).execute(db)) }]
  })
  return Object.fromEntries(await Promise.all(entries))
}
