import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { StartError } from '../../base/process/start-error.ts'
import { keepSecrets } from '../../base/secrets.ts'
import type { Config } from '../../config.ts'

/**
 * The database a command is to work on: DATABASE_URL, or the embedded server of a running Ravenpost.
 * @throws {StartError} when there is neither
 */
export async function databaseUrlOf(config: Config): Promise<string> {
  const url = config.embedded ? await runningEmbeddedUrl(config.dataDir) : config.databaseUrl
  if (!url) throw new StartError(`Ravenpost is not running in ${config.dataDir}: start it first, or set DATABASE_URL`)
  return url
}

/**
 * The url of the embedded PostgreSQL that a running Ravenpost has started in this data directory; undefined when there is
 * none. The port stands on the fourth line of postmaster.pid (PostgreSQL manual, "Database File Layout").
 */
async function runningEmbeddedUrl(dataDir: string): Promise<string | undefined> {
  const lines = await readFile(join(dataDir, 'postgres', 'postmaster.pid'), 'utf8').catch(() => '')
  const port = lines.split('\n')[3]
  if (!port) return undefined
  const { postgresPassword } = await keepSecrets(dataDir)
  return `postgres://postgres:${postgresPassword}@127.0.0.1:${port}/ravenpost`
}
