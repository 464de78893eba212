import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { StartError } from '../../base/process/start-error.ts'
import { keepSecrets } from '../../base/secrets.ts'
import type { Config } from '../../config.ts'

/**
 * The database for a command: DATABASE_URL, or the embedded server of a running Ravenpost.
 * @throws {StartError} when there is neither
 */
export async function databaseUrlOf(config: Config): Promise<string> {
  const url = config.embedded ? await runningEmbeddedUrl(config.dataDir) : config.databaseUrl
  if (!url) throw new StartError(`Ravenpost is not running in ${config.dataDir}: start it first, or set DATABASE_URL`)
  return url
}

/**
 * The URL of the embedded PostgreSQL that runs in this data directory; undefined when none runs. The fourth line of
 * postmaster.pid contains the port (PostgreSQL manual, "Database File Layout").
 */
async function runningEmbeddedUrl(dataDir: string): Promise<string | undefined> {
  const lines = await readFile(join(dataDir, 'postgres', 'postmaster.pid'), 'utf8').catch(() => '')
  const port = lines.split('\n')[3]
  if (!port) return undefined
  const { postgresPassword } = await keepSecrets(dataDir)
  return `postgres://postgres:${postgresPassword}@127.0.0.1:${port}/ravenpost`
}
