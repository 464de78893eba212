import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import { freePort } from '../../src/db/embedded/free-port.ts'
import { SECOND, within } from '../wait.ts'
import type { Server } from './postgres.ts'
import { TcpProxy } from './proxy.ts'

const run = promisify(execFile)
/** Programs of Debian's package, because the embedded server has no pg_basebackup. */
const binaries = '/usr/lib/postgresql/15/bin'
const asRoot = process.getuid?.() === 0
const settings = '-c max_connections=300 -c shared_buffers=128MB -c jit=off -c listen_addresses=127.0.0.1'

type Node = { folder: string; port: number }

/**
 * A primary with a synchronous standby, an address that a switchover moves from one to the other, and PgBouncer in transaction
 * mode in front of it. Synchronous replication loses no confirmed action, so every loss is Ravenpost's fault.
 */
export class Pair implements Server {
  readonly #folder: string
  readonly #address: TcpProxy
  readonly #poolerPort: number
  readonly #pooler: ChildProcess
  #primary: Node
  #standby: Node

  private constructor(
    folder: string,
    nodes: [Node, Node],
    address: TcpProxy,
    poolerPort: number,
    pooler: ChildProcess,
  ) {
    this.#folder = folder
    ;[this.#primary, this.#standby] = nodes
    this.#address = address
    this.#poolerPort = poolerPort
    this.#pooler = pooler
    // Servers started by pg_ctl outlive this process.
    process.on('exit', () => {
      for (const node of nodes) kill(node)
    })
  }

  /** @throws {Error} that names what this machine lacks */
  static async create(): Promise<Pair> {
    if (!existsSync(binaries)) throw new Error(`needs PostgreSQL 15 in ${binaries}`)
    if (spawnSync('pgbouncer', ['--version']).status !== 0) throw new Error('needs pgbouncer')
    const folder = await mkdtemp(join(tmpdir(), 'ravenpost-pair-'))
    await chmod(folder, 0o755)
    const node = async (name: string) => ({ folder: join(folder, name), port: await freePort() })
    const nodes: [Node, Node] = [await node('a'), await node('b')]
    for (const one of nodes) await ownFolder(one)
    await tool('initdb', '-D', join(nodes[0].folder, 'data'), '-A', 'trust', '-U', 'postgres', '--no-sync')
    await start(nodes[0])
    const address = await TcpProxy.to(nodes[0].port)
    const poolerPort = await freePort()
    const pooler = await startPooler(folder, poolerPort, address.port)
    const pair = new Pair(folder, nodes, address, poolerPort, pooler)
    await pair.#makeStandby()
    return pair
  }

  get port(): number {
    return this.#address.port
  }

  url(database: string, port = this.port): string {
    return `postgres://postgres:trusted@127.0.0.1:${port}/${database}`
  }

  poolerUrl(database: string): string {
    return this.url(database, this.#poolerPort)
  }

  /** The standby takes over. `stopped`: the primary ends first. `answering`: it runs for another second and does not know the new primary. */
  async switchOver(how: 'stopped' | 'answering'): Promise<void> {
    const [old, next] = [this.#primary, this.#standby]
    if (how === 'stopped') await stop(old)
    await tool('pg_ctl', 'promote', '-w', '-D', join(next.folder, 'data'))
    if (how === 'answering') await new Promise((resolve) => setTimeout(resolve, SECOND))
    this.#address.target = next.port
    this.#address.cut()
    if (how === 'answering') await stop(old)
    this.#primary = next
    this.#standby = old
  }

  /** Creates the former primary again, as standby of the current one. */
  async repair(): Promise<void> {
    await rm(join(this.#standby.folder, 'data'), { recursive: true, force: true })
    await this.#makeStandby()
  }

  async start(): Promise<void> {
    await start(this.#primary)
  }

  async stop(): Promise<void> {
    this.#pooler.kill()
    await this.#address.close()
    for (const node of [this.#standby, this.#primary]) await stop(node)
    await rm(this.#folder, { recursive: true, force: true })
  }

  get running(): boolean {
    return existsSync(join(this.#primary.folder, 'data', 'postmaster.pid'))
  }

  async #makeStandby(): Promise<void> {
    const source = this.url('postgres', this.#primary.port)
    const data = join(this.#standby.folder, 'data')
    await tool('pg_basebackup', '-D', data, '-R', '-X', 'stream', '-c', 'fast', '--no-sync', '-d', source)
    await start(this.#standby)
    const client = new pg.Client({ connectionString: source })
    await client.connect()
    try {
      // Set after the base backup, because the copy, once promoted, must not wait for a standby.
      await client.query(`alter system set synchronous_standby_names = '*'`)
      await client.query('select pg_reload_conf()')
      const isSynchronous = async () =>
        (await client.query(`select from pg_stat_replication where sync_state = 'sync'`)).rowCount === 1
      if (!(await within(60 * SECOND, isSynchronous))) throw new Error('the standby does not become synchronous')
    } finally {
      await client.end()
    }
  }
}

async function ownFolder({ folder }: Node): Promise<void> {
  await mkdir(folder)
  if (asRoot) await run('chown', ['postgres', folder])
}

async function start({ folder, port }: Node): Promise<void> {
  const options = `-p ${port} -k ${folder} ${settings}`
  await tool('pg_ctl', '-D', join(folder, 'data'), '-w', '-o', options, '-l', join(folder, 'log'), 'start')
}

async function stop({ folder }: Node): Promise<void> {
  await tool('pg_ctl', '-D', join(folder, 'data'), '-w', '-m', 'immediate', 'stop').catch(() => {})
}

function kill({ folder }: Node): void {
  const pidFile = join(folder, 'data', 'postmaster.pid')
  if (existsSync(pidFile)) process.kill(Number(readFileSync(pidFile, 'utf8').split('\n')[0]), 'SIGQUIT')
}

/** Runs a program of PostgreSQL, which refuses to run as root. */
async function tool(name: string, ...args: string[]): Promise<void> {
  const command = join(binaries, name)
  if (asRoot) await run('runuser', ['-u', 'postgres', '--', command, ...args], { cwd: '/' })
  else await run(command, args, { cwd: '/' })
}

async function startPooler(folder: string, port: number, serverPort: number): Promise<ChildProcess> {
  const file = join(folder, 'pgbouncer.ini')
  await writeFile(
    file,
    `[databases]
* = host=127.0.0.1 port=${serverPort} user=postgres connect_query='set enable_seqscan = off; set random_page_cost = 1.1; set jit = off; set lock_timeout = ''2s''; set idle_in_transaction_session_timeout = ''10s'''
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 40
server_login_retry = 1
ignore_startup_parameters = extra_float_digits, options, idle_in_transaction_session_timeout
`,
  )
  // pgbouncer does not run as root; 65534 is nobody.
  const ids = asRoot ? { uid: 65534, gid: 65534 } : {}
  const child = spawn('pgbouncer', ['-q', file], { ...ids, cwd: '/', stdio: 'ignore' })
  process.on('exit', () => child.kill())
  return child
}
