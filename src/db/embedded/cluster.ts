import { spawn } from 'node:child_process'
import { access, chown, mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { StartError } from '../../base/process/start-error.ts'
import type { RunAs } from './run-as.ts'

/**
 * Creates a PostgreSQL cluster unless it exists. Builds it in a temporary place and moves it when complete, so an
 * interrupted initdb is simply repeated.
 * @returns whether it was created now
 */
export async function makeCluster(cluster: string, password: string, initdb: string, runAs: RunAs): Promise<boolean> {
  if (await exists(join(cluster, 'PG_VERSION'))) return false
  const folder = `${cluster}.new`
  const passwordFile = `${cluster}.password`
  try {
    await rm(folder, { recursive: true, force: true })
    await mkdir(folder, { mode: 0o700 })
    await writeFile(passwordFile, `${password}\n`, { mode: 0o600 })
    for (const path of [folder, passwordFile]) if (runAs.owner) await chown(path, runAs.owner.uid, runAs.owner.gid)
    await runInitdb(initdb, folder, passwordFile, runAs)
    await rename(folder, cluster)
    return true
  } catch (error) {
    throw error instanceof Error && /ENOSPC|No space left/.test(error.message) ? diskFull(cluster, error) : error
  } finally {
    await rm(passwordFile, { force: true })
  }
}

export function diskFull(path: string, cause?: Error): Error {
  return new StartError(`The disk of ${path} is full: free some space, or set DATA_DIR to another disk`, { cause })
}

/** The builtin locale provider sorts and folds case the same way on every machine, regardless of the C library. */
const flags = ['--username=postgres', '--auth=scram-sha-256', '--encoding=UTF8', '--locale=C', '--no-instructions']
const collation = ['--locale-provider=builtin', '--builtin-locale=C.UTF-8']

async function runInitdb(initdb: string, folder: string, passwordFile: string, { prefix, ids }: RunAs): Promise<void> {
  const own = [`--pgdata=${folder}`, `--pwfile=${passwordFile}`]
  const [command = '', ...args] = [...prefix, initdb, ...own, ...flags, ...collation]
  const child = spawn(command, args, { ...ids, cwd: '/', stdio: ['ignore', 'ignore', 'pipe'] })
  let output = ''
  child.stderr.on('data', (chunk) => {
    output += chunk
  })
  const code = await new Promise((resolve, reject) => child.once('error', reject).once('close', resolve))
  if (code !== 0) throw new StartError(`Cannot create PostgreSQL's data directory in ${folder}:\n${output.trim()}`)
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path)
    return true
  } catch {
    return false
  }
}
