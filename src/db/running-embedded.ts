import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { keepSecrets } from '../secrets.ts'

/**
 * The url of the embedded PostgreSQL that a running Ravenpost has started in this data directory; undefined when there is
 * none. The port stands on the fourth line of postmaster.pid (PostgreSQL manual, "Database File Layout").
 */
export async function runningEmbeddedUrl(dataDir: string): Promise<string | undefined> {
  const lines = await readFile(join(dataDir, 'postgres', 'postmaster.pid'), 'utf8').catch(() => '')
  const port = lines.split('\n')[3]
  if (!port) return undefined
  const { postgresPassword } = await keepSecrets(dataDir)
  return `postgres://postgres:${postgresPassword}@127.0.0.1:${port}/ravenpost`
}
