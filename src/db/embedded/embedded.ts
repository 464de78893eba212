import { mkdir, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { keepSecrets } from '../../base/secrets.ts'
import { withClient } from '../client.ts'
import { findBinaries } from './binaries.ts'
import { makeCluster } from './cluster.ts'
import { lockDataDir } from './data-dir-lock.ts'
import { freePort } from './free-port.ts'
import { chooseRunAs } from './run-as.ts'
import { startServer, stopLeftOverServer } from './server-process.ts'

export type Embedded = {
  /** URL of the database `ravenpost`; the port changes at every start. */
  url: string
  stop(): Promise<void>
  firstStart: boolean
}

/**
 * Starts PostgreSQL 18 in `dataDir`/postgres, listening on 127.0.0.1 only. Creates what is missing, and recovers after
 * a killed process. Locks the data directory for this process until the server is stopped. `memoryBytes`: memory that its
 * settings are for; that of the machine by default.
 * @throws {StartError} with a message for the operator: directory in use, disk full, no rights
 */
export async function startEmbedded(dataDir: string, log: Logger, memoryBytes?: number): Promise<Embedded> {
  const started = performance.now()
  await mkdir(dataDir, { recursive: true })
  const home = await realpath(dataDir)
  const unlock = await lockDataDir(home)
  try {
    const secrets = await keepSecrets(home)
    const binaries = await findBinaries()
    const runAs = await chooseRunAs(binaries.postgres, home, log)
    const cluster = join(home, 'postgres')
    const firstStart = await makeCluster(cluster, secrets.postgresPassword, binaries.initdb, runAs)
    if (!firstStart) await stopLeftOverServer(cluster, log)
    const port = await freePort()
    const { postgres } = binaries
    const server = await startServer({ postgres, cluster, port, runAs, logFile: `${cluster}.log`, memoryBytes })
    const url = `postgres://postgres:${secrets.postgresPassword}@127.0.0.1:${port}/ravenpost`
    await createDatabase(url).catch(async (error) => {
      await server.stop()
      throw error
    })
    log.info({ port, firstStart, ms: Math.round(performance.now() - started) }, 'the embedded PostgreSQL is running')
    const stop = async () => {
      await server.stop()
      await unlock()
    }
    return { url, stop, firstStart }
  } catch (error) {
    await unlock()
    throw error
  }
}

/** Checked at each start, because the first one may have been killed after it created the cluster. */
async function createDatabase(url: string): Promise<void> {
  const admin = new URL(url)
  admin.pathname = '/postgres'
  await withClient(admin.href, async (client) => {
    const { rowCount } = await client.query(`select from pg_database where datname = 'ravenpost'`)
    if (rowCount === 0) await client.query('create database ravenpost')
  })
}
