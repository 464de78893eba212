import { spawn } from 'node:child_process'
import { existsSync, globSync, statSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readFile, rm, statfs, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import pg from 'pg'
import { pino } from 'pino'
import { compileCache } from '../faults/system/node-options.ts'
import { migrate } from '../src/migrate.ts'

/** On two cores; a third of the time is spent waiting. */
const PROCESSES = 3

/** The embedded server is set up for a machine of this many bytes: its files are in memory already, and other programs run. */
const MEMORY = 512 * 1024 ** 2

/**
 * `npm test [-- files and folders]`: finds or starts a server, migrates a template database there, and runs tap; every test file
 * clones the template. TEST_DATABASE_URL names a server, TEST_POSTGRES=container asks for one in a container.
 */
const [files, options] = readArguments()
/** tap keeps its own files there. */
const gathered = join('.tap', 'gathered', `${process.pid}`)
const scratch = await makeScratch()
const server = await findServer()
const template = `ravenpost_test_${process.pid}`
try {
  const admin = new pg.Client({ connectionString: server.url })
  // When something fails below, the server is stopped under this connection.
  admin.on('error', () => {})
  await admin.connect()
  await admin.query(`create database ${template}`)
  const { rows } = await admin.query('show server_version')
  console.log(`# PostgreSQL ${rows[0].server_version}`)
  await migrate(databaseUrl(server.url, template), pino({ level: 'warn' }))
  await buildTap()
  process.exitCode = await runTap(['run', `--jobs=${PROCESSES}`, ...options, ...(await gather(files))], {
    TEST_DATABASE_URL: server.url,
    TEST_TEMPLATE: template,
    TMPDIR: scratch,
  })
  await dropDatabases(admin)
  await admin.end()
} finally {
  await server.stop()
  for (const folder of [scratch, gathered]) await rm(folder, { recursive: true, force: true })
}

type Server = { url: string; stop: () => Promise<void> }

/**
 * For all that the tests write, PostgreSQL's files first. In memory where there is room, as on most Linux: there a database is
 * cloned in a quarter of the CPU time.
 */
async function makeScratch(): Promise<string> {
  const memory = '/dev/shm'
  const free = existsSync(memory) ? await statfs(memory) : { bavail: 0, bsize: 0 }
  const enough = free.bavail * free.bsize > 4 * 1024 ** 3
  const made = await mkdtemp(join(enough ? memory : tmpdir(), 'ravenpost-test-'))
  // PostgreSQL's own user passes through it.
  await chmod(made, 0o711)
  return made
}

async function findServer(): Promise<Server> {
  if (process.env.TEST_DATABASE_URL) return { url: process.env.TEST_DATABASE_URL, stop: async () => {} }
  return process.env.TEST_POSTGRES === 'container' ? startContainer() : startEmbeddedServer()
}

async function startContainer(): Promise<Server> {
  const { PostgreSqlContainer } = await import('@testcontainers/postgresql')
  const container = await new PostgreSqlContainer('postgres:18-alpine')
    .withCommand(['postgres', '-c', 'max_connections=500'])
    .start()
  return { url: container.getConnectionUri(), stop: async () => void (await container.stop()) }
}

async function startEmbeddedServer(): Promise<Server> {
  const { startEmbedded } = await import('../src/db/embedded/embedded.ts')
  const embedded = await startEmbedded(join(scratch, 'server'), pino({ level: 'warn' }), MEMORY)
  await makeFast(embedded.url)
  return { url: embedded.url, stop: embedded.stop }
}

/**
 * The tests' own server needs no durability; without it databases are cloned in half the time. Nor does its password need much
 * protection: SCRAM takes more than half of the CPU time of a new connection.
 */
async function makeFast(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  const { rows } = await client.query('show hba_file')
  await writeFile(rows[0].hba_file, 'host all all 127.0.0.1/32 md5\n')
  for (const statement of [
    'alter system set fsync = off',
    'alter system set full_page_writes = off',
    'set password_encryption = md5',
    `alter role postgres password ${client.escapeLiteral(new URL(url).password)}`,
    'select pg_reload_conf()',
  ])
    await client.query(statement)
  await client.end()
}

/** Test files, of whole folders too and all when none is named; and options for tap. */
function readArguments(): [files: string[], options: string[]] {
  const given = process.argv.slice(2)
  const named = given.filter((argument) => argument.endsWith('.test.ts') || existsSync(argument))
  const files = (named.length > 0 ? named : ['test']).flatMap((path) =>
    path.endsWith('.test.ts') ? path : globSync(join(path, '**', '*.test.ts')),
  )
  if (files.length === 0) throw new Error(`no test files in ${named.join(', ')}`)
  return [files, given.filter((argument) => !named.includes(argument))]
}

/**
 * Starting a process takes 1.2 s of CPU time. So a few processes run all files, and each takes the next file when it has finished
 * one. Large files come first, so that the processes end at about the same time. Returns the files for tap, one per process.
 */
async function gather(files: string[]): Promise<string[]> {
  await mkdir(gathered, { recursive: true })
  const largestFirst = files.map((file) => ({ file, size: existsSync(file) ? statSync(file).size : 0 }))
  largestFirst.sort((one, other) => other.size - one.size)
  await writeFile(join(gathered, 'files.json'), JSON.stringify(largestFirst.map(({ file }) => resolve(file))))
  const processes = Array.from({ length: Math.min(PROCESSES, files.length) }, (_, i) => join(gathered, `${i + 1}.ts`))
  for (const path of processes)
    await writeFile(path, `import { runFiles } from '../../../test/gathered.ts'\nawait runFiles(import.meta.dirname)\n`)
  return processes
}

/** A fresh tap has other plugins than .taprc names. It would build itself anew, but only after having started with those. */
async function buildTap(): Promise<void> {
  const built = await readFile(new URL(import.meta.resolve('@tapjs/test/test-built')), 'utf8')
  if (!['@tapjs/typescript', '@tapjs/mock'].some((plugin) => built.includes(plugin))) return
  if ((await runTap(['build'])) !== 0) throw new Error('tap cannot be built with the plugins of .taprc')
}

function runTap(args: string[], env: Record<string, string> = {}): Promise<number> {
  const tap = spawn('tap', args, {
    stdio: 'inherit',
    env: { NODE_COMPILE_CACHE: compileCache, ...process.env, ...env },
  })
  return new Promise((resolve, reject) => {
    tap.on('error', reject)
    tap.on('close', (code) => resolve(code ?? 1))
  })
}

/** Drops the template, and clones that a killed test file left. */
async function dropDatabases(admin: pg.Client): Promise<void> {
  // Other runs on this server have names of their own, also when ours is the beginning of theirs.
  const { rows } = await admin.query<{ datname: string }>(
    `select datname from pg_database where datname = $1 or starts_with(datname, $1 || '_')`,
    [template],
  )
  for (const { datname } of rows) await admin.query(`drop database if exists ${datname} with (force)`)
}

function databaseUrl(serverUrl: string, database: string): string {
  const url = new URL(serverUrl)
  url.pathname = `/${database}`
  return url.href
}
