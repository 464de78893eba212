import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * Whether the cluster in `dataDir`/postgres was copied back from somewhere: then it may have forgotten states that clients hold, and nothing
 * inside it shows that. Its files do: pg_control is written in place and PG_VERSION never, so a copy, whatever tool made it, has another inode
 * or was changed at another time. A snapshot of the whole disk keeps both; that is what `npm run adopt` is for.
 */
export async function wasCopied(dataDir: string): Promise<boolean> {
  const noted = await readFile(noteIn(dataDir), 'utf8').catch(() => undefined)
  return noted !== undefined && noted !== (await filesOf(dataDir))
}

/** To be called when the database has its new epoch: until then every start finds it copied. */
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
