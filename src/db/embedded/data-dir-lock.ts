import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { StartError } from '../../base/process/start-error.ts'
import { processMark } from './process-mark.ts'

/**
 * Locks the data directory for this process. Each process first writes a claim with its process id and then looks for
 * others, so two concurrent starts may both fail but never both succeed. A claim includes the start time of the
 * process, so that a reused process id does not count.
 * @returns releases the directory
 * @throws {StartError} when a live process holds it
 */
export async function lockDataDir(dataDir: string): Promise<() => Promise<void>> {
  const own = claimOf(process.pid)
  const release = () => rm(join(dataDir, own), { force: true })
  // Renamed from a temporary file, so that other processes never see an incomplete claim.
  await writeFile(join(dataDir, `${own}.new`), processMark(process.pid) ?? '', { mode: 0o600 })
  await rename(join(dataDir, `${own}.new`), join(dataDir, own))

  for (const name of await readdir(dataDir)) {
    const pid = claimant(name)
    if (pid === undefined || pid === process.pid) continue
    const mark = await readFile(join(dataDir, name), 'utf8').catch(() => '')
    if (mark !== '' && mark === processMark(pid)) {
      await release()
      throw new StartError(
        `Ravenpost already runs in ${dataDir} (process ${pid}): stop that one first, or set DATA_DIR to another directory`,
      )
    }
    await rm(join(dataDir, name), { force: true })
  }
  return release
}

const claimOf = (pid: number) => `ravenpost-${pid}.lock`

function claimant(file: string): number | undefined {
  const pid = /^ravenpost-(\d+)\.lock$/.exec(file)?.[1]
  return pid === undefined ? undefined : Number(pid)
}
