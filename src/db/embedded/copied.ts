import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * True if the cluster in `dataDir`/postgres was restored from a copy, so that it may lack states that clients have. Its
 * contents do not show that, but its files do: pg_control is written in place and PG_VERSION never, so in a copy their
 * inodes or change times differ. A snapshot of the whole disk keeps both; use `npm run adopt` after restoring one.
 */
export async function wasCopied(dataDir: string): Promise<boolean> {
  const noted = await readFile(noteIn(dataDir), 'utf8').catch(() => undefined)
  return noted !== undefined && noted !== (await filesOf(dataDir))
}

/** Call it after the database has its new epoch. Until then every start detects the copy again. */
export async function noteFiles(dataDir: string): Promise<void> {
  await writeFile(noteIn(dataDir), await filesOf(dataDir), { mode: 0o600 })
}

const noteIn = (dataDir: string) => join(dataDir, 'cluster-files')

async function filesOf(dataDir: string): Promise<string> {
  const [control, version] = await Promise.all(
    ['global/pg_control', 'PG_VERSION'].map((name) => stat(join(dataDir, 'postgres', name), { bigint: true })),
  )
  return `${control?.ino} ${version?.ino} ${version?.ctimeNs}\n`
}
