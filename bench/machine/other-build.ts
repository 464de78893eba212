import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chown, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Logger } from 'pino'
import { freePort } from '../../src/db/embedded/free-port.ts'
import { chooseRunAs } from '../../src/db/embedded/run-as.ts'
import { startServer } from '../../src/db/embedded/server-process.ts'

const run = promisify(execFile)

/** Starts the PostgreSQL in the folder `bin` with the settings of the embedded one. Creates its cluster at the first start. */
export async function startOtherBuild(
  bin: string,
  home: string,
  log: Logger,
): Promise<{ url: string; stop(): Promise<void> }> {
  const postgres = join(bin, 'postgres')
  const runAs = await chooseRunAs(postgres, home, log)
  const cluster = join(home, 'postgres')
  if (!existsSync(cluster)) {
    await mkdir(cluster, { mode: 0o700 })
    if (runAs.owner) await chown(cluster, runAs.owner.uid, runAs.owner.gid)
    const flags = ['--username=postgres', '--auth=trust', '--encoding=UTF8', '--locale=C', '--no-instructions']
    const [command = '', ...args] = [...runAs.prefix, join(bin, 'initdb'), `--pgdata=${cluster}`, ...flags]
    await run(command, args, { ...runAs.ids, cwd: '/' })
  }
  const port = await freePort()
  const { stop } = await startServer({ postgres, cluster, port, runAs, logFile: `${cluster}.log` })
  return { url: `postgres://postgres@127.0.0.1:${port}/postgres`, stop }
}
