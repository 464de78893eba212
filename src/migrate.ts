import type { Logger } from 'pino'
import { migrateDatabase } from './db/migrate.ts'
import { checkInstallation } from './notify/outbox/adopt.ts'

/**
 * Runs the pending migrations, and adopts a restored database before others may write, because an event written before
 * the adoption would never be read.
 * @returns the names of the migrations that ran now
 * @throws {StartError} see migrateDatabase
 */
export function migrate(url: string, log: Logger, folder?: URL): Promise<string[]> {
  return migrateDatabase(url, log, checkInstallation, folder)
}
