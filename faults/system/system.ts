import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { pino } from 'pino'
import { type Config, readConfig } from '../../src/config.ts'
import { freePort } from '../../src/db/embedded/free-port.ts'
import { migrate } from '../../src/migrate.ts'
import { makePast } from '../past.ts'
import { SECOND } from '../wait.ts'
import type { Pair } from './pair.ts'
import { Postgres, type Server } from './postgres.ts'
import { TcpProxy } from './proxy.ts'
import type { PushServices } from './push-services.ts'
import { allReady, type RoleName, RoleProcess } from './role-process.ts'
import type { SmallDisk } from './small-disk.ts'

const DATABASE = 'ravenpost'
const JWT_SECRET = 'a secret that only the fault tests know, 32 bytes or more'

/** Two processes of each role on one PostgreSQL, with a proxy between each process and PostgreSQL, and in front of each api and push process. */
export type System = {
  postgres: Server
  /** The primary and its standby, if the scenario has them. `postgres` is then the same object. */
  pair: Pair | undefined
  /** Present if the scenario has push services. */
  pushServices: PushServices | undefined
  /** The disk with PostgreSQL's data, if it is a small one. */
  disk: SmallDisk | undefined
  /** Connects to PostgreSQL without a proxy. */
  databaseUrl: string
  pool: pg.Pool
  config: Config
  processes: RoleProcess[]
  of(role: RoleName): RoleProcess[]
  /** Proxies between processes and PostgreSQL. */
  database: Map<RoleProcess, TcpProxy>
  /** Proxies between clients and api or push processes. */
  front: Map<RoleProcess, TcpProxy>
  close(): Promise<void>
}

/** Options for the system of a single scenario. */
export type Own = { disk?: SmallDisk; pair?: Pair; pushServices?: PushServices }

export async function startSystem(
  folder: string,
  { disk, pair, pushServices, past = 0 }: Own & { past?: number } = {},
): Promise<System> {
  const log = pino({ level: 'warn' })
  await mkdir(folder, { recursive: true })
  const postgres = pair ?? (await Postgres.create(disk?.folder ?? folder, await freePort(), log))
  const databaseUrl = postgres.url(DATABASE)
  await createDatabase(postgres)
  await migrate(databaseUrl, log)
  await makePast(databaseUrl, { events: past, notifications: past })

  const database = new Map<RoleProcess, TcpProxy>()
  const front = new Map<RoleProcess, TcpProxy>()
  const processes: RoleProcess[] = []
  for (const role of ['worker', 'push', 'api'] as const)
    for (const number of [1, 2]) {
      const proxy = await TcpProxy.to(postgres.port)
      const direct = postgres.url(DATABASE, proxy.port)
      const own = pair && role === 'api' ? environment(pair.poolerUrl(DATABASE), direct) : environment(direct)
      const env = { ...own, ...pushServices?.env }
      const name = `${role}-${number}`
      const one = new RoleProcess(role, name, await freePort(), env, join(folder, `${name}.log`))
      processes.push(one)
      database.set(one, proxy)
      if (role !== 'worker') front.set(one, await TcpProxy.to(one.port, { isGateway: true }))
      one.start()
    }
  // Keeps idle connections, so that the checks still work when all slots are taken.
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 4, application_name: 'chaos', idleTimeoutMillis: 0 })
  pool.on('error', () => {})
  // Without windows every event is shown at once, so the checks can compare inboxes with the actions so far.
  await pool.query('update notify.types set window_seconds = 0')
  const close = async () => {
    await Promise.all(processes.map((one) => one.close()))
    await Promise.all([...database.values(), ...front.values()].map((proxy) => proxy.close()))
    await pool.end()
    await postgres.stop('fast')
    await disk?.close()
    pushServices?.close()
  }
  if (!(await allReady(processes, 60 * SECOND))) {
    await close()
    throw new Error(`the processes did not become ready: see the logs in ${folder}`)
  }
  const of = (role: RoleName) => processes.filter((one) => one.role === role)
  const config = readConfig(environment(databaseUrl))
  return { postgres, pair, pushServices, disk, databaseUrl, pool, config, processes, of, database, front, close }
}

function environment(databaseUrl: string, direct = ''): Record<string, string> {
  return {
    DATABASE_URL: databaseUrl,
    DATABASE_URL_DIRECT: direct,
    JWT_SECRET,
    ACCESS_TOKEN_TTL: '86400',
    RATE_LIMIT_SCALE: '10000',
    LOG_LEVEL: process.env.CHAOS_LOG ?? 'info',
    HOST: '127.0.0.1',
  }
}

async function createDatabase(postgres: Server): Promise<void> {
  const client = new pg.Client({ connectionString: postgres.url('postgres') })
  await client.connect()
  await client.query(`create database ${DATABASE}`)
  await client.end()
}
