import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { pino } from 'pino'
import { startEmbedded } from '../../src/db/embedded/embedded.ts'
import { startOtherBuild } from './other-build.ts'

/**
 * One durable server (fsync and synchronous_commit on) with the same settings for every stack. Each run gets its own database.
 * The server is the embedded PostgreSQL, or the one in the folder POSTGRES_BIN.
 */
export type Postgres = {
  pid: number
  version: string
  settings: Record<string, string>
  urlOf(database: string): string
  query<T extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<T[]>
  /** A copy of `template`, or an empty database. */
  createDatabase(name: string, template?: string): Promise<string>
  dropDatabase(name: string): Promise<void>
  stop(): Promise<void>
}

export async function startPostgres(): Promise<Postgres> {
  const home = await mkdtemp(join(process.env.BENCH_DIR ?? tmpdir(), 'ravenpost-bench-'))
  const log = pino({ level: 'warn' })
  const build = process.env.POSTGRES_BIN
  const start = () => (build ? startOtherBuild(build, home, log) : startEmbedded(home, log))
  let server = await start()
  await preloadStatements(server.url)
  await server.stop()
  server = await start()

  const urlOf = (database: string) => Object.assign(new URL(server.url), { pathname: `/${database}` }).href
  const admin = new pg.Pool({ connectionString: urlOf('postgres'), max: 2 })
  const query: Postgres['query'] = async (text, values) => (await admin.query(text, values)).rows
  const lines = (await readFile(join(home, 'postgres', 'postmaster.pid'), 'utf8')).split('\n')
  return {
    pid: Number(lines[0]),
    version: await show(query, 'server_version'),
    settings: await readSettings(query),
    urlOf,
    query,
    async createDatabase(name, template) {
      await query(`create database ${name}${template ? ` template ${template}` : ''}`)
      return urlOf(name)
    },
    dropDatabase: async (name) => void (await query(`drop database if exists ${name} with (force)`)),
    async stop() {
      await admin.end()
      await server.stop()
      await rm(home, { recursive: true, force: true })
    },
  }
}

/** Profiles contain the cost of each statement. Collecting it costs all stacks the same. */
async function preloadStatements(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query(`alter system set shared_preload_libraries = 'pg_stat_statements'`)
  await client.end()
}

async function show(query: Postgres['query'], setting: string): Promise<string> {
  const [row] = await query<Record<string, string>>(`show ${setting}`)
  return row?.[setting] ?? ''
}

async function readSettings(query: Postgres['query']): Promise<Record<string, string>> {
  const names = ['fsync', 'synchronous_commit', 'full_page_writes', 'shared_buffers', 'max_wal_size', 'max_connections']
  return Object.fromEntries(await Promise.all(names.map(async (name) => [name, await show(query, name)] as const)))
}
