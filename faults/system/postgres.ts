import { type ChildProcess, spawn } from 'node:child_process'
import { mkdir, open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { findBinaries } from '../../src/db/embedded/binaries.ts'
import { makeCluster } from '../../src/db/embedded/cluster.ts'
import { chooseRunAs, type RunAs } from '../../src/db/embedded/run-as.ts'
import { SECOND, sleep, within } from '../wait.ts'

const PASSWORD = 'chaos'
/** As many connections as the embedded server accepts; 300 idle ones exhaust them. */
const settings = [
  'listen_addresses=127.0.0.1',
  'unix_socket_directories=',
  'max_connections=200',
  'shared_buffers=128MB',
  'max_wal_size=512MB',
  'jit=off',
  'timezone=UTC',
  'log_checkpoints=off',
  'autovacuum_naptime=15s',
].flatMap((setting) => ['-c', setting])

/** How to stop a server: roll back transactions (fast), leave everything to recovery (immediate), or SIGKILL (kill). */
export type Stop = 'fast' | 'immediate' | 'kill'
const signals = { fast: 'SIGINT', immediate: 'SIGQUIT', kill: 'SIGKILL' } as const

/** The operations of a server that a system needs. */
export type Server = Pick<Postgres, 'port' | 'url' | 'start' | 'stop' | 'running'>

/** A real, durable PostgreSQL 18 on one port, which can be stopped and started at any time. */
export class Postgres {
  readonly port: number
  readonly #cluster: string
  readonly #binary: string
  readonly #runAs: RunAs
  #child: ChildProcess | undefined

  private constructor(port: number, cluster: string, binary: string, runAs: RunAs) {
    this.port = port
    this.#cluster = cluster
    this.#binary = binary
    this.#runAs = runAs
  }

  static async create(folder: string, port: number, log: Logger): Promise<Postgres> {
    await mkdir(folder, { recursive: true })
    const binaries = await findBinaries()
    const runAs = await chooseRunAs(binaries.postgres, folder, log)
    const cluster = join(folder, 'postgres')
    await makeCluster(cluster, PASSWORD, binaries.initdb, runAs)
    const server = new Postgres(port, cluster, binaries.postgres, runAs)
    await server.start()
    return server
  }

  /** URL of a database, on this port or on that of a proxy. */
  url(database: string, port = this.port): string {
    return `postgres://postgres:${PASSWORD}@127.0.0.1:${port}/${database}`
  }

  /** Retries until the server accepts connections, because backends of a killed postmaster may hold its memory for a moment. */
  async start(): Promise<void> {
    for (let attempt = 0; attempt < 50; attempt += 1) {
      const child = await this.#launch()
      if (await within(60 * SECOND, async () => hasEnded(child) || (await this.#isReady(child)), 20)) {
        this.#child = child
        if (!hasEnded(child)) return
      }
      await sleep(200)
    }
    throw new Error(`PostgreSQL does not start: see ${this.#cluster}.log`)
  }

  async stop(how: Stop): Promise<void> {
    const child = this.#child
    if (!child || hasEnded(child)) return
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.kill(signals[how])
    const timer = setTimeout(() => child.kill('SIGQUIT'), 20 * SECOND)
    await ended
    clearTimeout(timer)
  }

  /** Whether the server runs. It ends by itself when it cannot write its log. */
  get running(): boolean {
    return this.#child !== undefined && !hasEnded(this.#child)
  }

  async #launch(): Promise<ChildProcess> {
    const log = await open(`${this.#cluster}.log`, 'a', 0o600)
    const { prefix, ids } = this.#runAs
    const [command = '', ...args] = [...prefix, this.#binary, '-D', this.#cluster, '-p', String(this.port), ...settings]
    const child = spawn(command, args, { ...ids, cwd: '/', detached: true, stdio: ['ignore', log.fd, log.fd] })
    const tell = () => void child.kill('SIGQUIT')
    process.on('exit', tell)
    child.once('exit', () => process.off('exit', tell))
    await log.close()
    return child
  }

  async #isReady(child: ChildProcess): Promise<boolean> {
    const lines = (await readFile(join(this.#cluster, 'postmaster.pid'), 'utf8')).split('\n')
    return Number(lines[0]) === child.pid && lines[7]?.trim() === 'ready'
  }
}

const hasEnded = (child: ChildProcess) => child.exitCode !== null || child.signalCode !== null
