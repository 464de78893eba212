import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import pg from 'pg'
import { pino } from 'pino'
import { type Test, test } from 'tap'
import { StartError } from '../../src/base/process/start-error.ts'
import { readConfig } from '../../src/config.ts'
import { pendingMigrations } from '../../src/db/migrate.ts'
import { migrate } from '../../src/migrate.ts'
import { openDatabase } from '../../src/open-database.ts'
import { cloneDatabase, eventually } from '../setup.ts'
import { sized } from '../size.ts'

const log = pino({ level: 'silent' })

const root = join(import.meta.dirname, '..', '..')

test('processes that migrate a fresh database concurrently run each migration once', async (t) => {
  const { url, pool } = await emptyDatabase(t)
  const names = await ourNames()
  t.same(await pendingMigrations(pool), names, 'nothing has been run before')

  const runs = await Promise.all(Array.from({ length: sized(10, 4) }, () => runCommand(url)))
  t.same(runs.flat().sort(), names, 'each was run by exactly one of them')
  t.same(await pendingMigrations(pool), [])
  const { rows } = await pool.query('select count(*)::int as n from graphile_worker.migrations')
  t.ok(rows[0].n > 0, 'the schema of the jobs is there')
  t.same(await runCommand(url), [], 'a database that is up to date is left alone')
})

/** Runs `npm run migrate`'s command; returns the migrations it ran. */
async function runCommand(url: string): Promise<string[]> {
  const { stdout } = await promisify(execFile)(process.execPath, [join(root, 'src/commands/migrate.ts')], {
    env: environment(url),
  })
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '').ran
}

function environment(url: string): NodeJS.ProcessEnv {
  return { ...process.env, DATABASE_URL: url, JWT_SECRET: 'not used here, but it has to be there', LOG_LEVEL: 'info' }
}

async function emptyDatabase(t: Test): Promise<Database> {
  const { TEST_DATABASE_URL: serverUrl, TEST_TEMPLATE: template } = process.env
  if (!serverUrl || !template) throw new Error('run this with npm test')
  const name = `${template}_migrate_${Math.random().toString(36).slice(2, 8)}`
  const admin = new pg.Pool({ connectionString: serverUrl, max: 1 })
  await admin.query(`create database ${name}`)
  t.teardown(async () => {
    await admin.query(`drop database ${name}`)
    await admin.end()
  })
  return opened(t, Object.assign(new URL(serverUrl), { pathname: `/${name}` }).href)
}

type Database = { url: string; pool: pg.Pool }

async function migratedDatabase(t: Test): Promise<Database> {
  return opened(t, await cloneDatabase(t))
}

function opened(t: Test, url: string): Database {
  const pool = new pg.Pool({ connectionString: url, max: 1 })
  t.teardown(() => pool.end())
  return { url, pool }
}

test('a migration waits for a reader in short attempts and blocks nobody', async (t) => {
  const { url, pool } = await migratedDatabase(t)
  const folder = await ourMigrationsAnd(t, '9990_windows', 'alter table notify.windows add column wide text;')
  const dump = new pg.Client({ connectionString: url })
  await dump.connect()
  t.teardown(() => dump.end())
  await dump.query('begin')
  await dump.query('lock table notify.windows in access share mode')

  const lines: string[] = []
  const counting = pino({}, { write: (line) => void lines.push(line) })
  const migrating = migrate(url, counting, folder)
  const isWaiting = `select from pg_locks where relation = 'notify.windows'::regclass and mode = 'AccessExclusiveLock' and not granted`
  let longest = 0
  for (let attempt = 1; attempt <= 2; attempt += 1) {
    await eventually(async () => ((await pool.query(isWaiting)).rowCount ?? 0) > 0)
    const startedAt = performance.now()
    await pool.query('select count(*) from notify.windows')
    longest = Math.max(longest, performance.now() - startedAt)
    await eventually(async () => ((await pool.query(isWaiting)).rowCount ?? 0) === 0)
  }
  // The bound is the behaviour: lock_timeout is a second, a dump takes an hour.
  t.ok(longest < 10_000, `a select beside it took ${longest.toFixed()} ms`)
  t.equal(lines.filter((line) => line.includes('waiting for')).length, 1, 'the log has one line, not one per attempt')
  await dump.query('commit')
  t.same(await migrating, ['9990_windows'])
  t.same(await migrate(url, log, folder), [])
})

test('a role with a statement timeout can migrate', async (t) => {
  const { url, pool } = await emptyDatabase(t)
  await pool.query(
    `do $$ begin execute format('alter role %I in database %I set statement_timeout = ''200ms''', current_user, current_database()); end $$`,
  )
  const folder = await ourMigrationsAnd(t, '9990_slow', 'select pg_sleep(0.5);')
  t.ok((await migrate(url, log, folder)).includes('9990_slow'))
})

test('each migration runs in its own transaction: a failed one leaves the earlier ones', async (t) => {
  const { url, pool } = await migratedDatabase(t)
  const folder = await ourMigrationsAnd(t, '9990_right', 'create table notify.made ();')
  await writeFile(join(fileURLToPath(folder), '9991_wrong.sql'), 'create table notify.half (); select 1 / 0;')
  await t.rejects(migrate(url, log, folder), { code: '22012' })
  const { rows } = await pool.query(
    `select to_regclass('notify.made') is not null as made, to_regclass('notify.half') is not null as half`,
  )
  t.same(rows, [{ made: true, half: false }])
})

test('a database of an unknown version is refused with one sentence', async (t) => {
  const { url, pool } = await migratedDatabase(t)
  const earlier = await ourMigrationsAnd(t, '0003_before_others', 'select 1;')
  await t.rejects(migrate(url, log, earlier), {
    constructor: StartError,
    message: /brings the migration 0003_before_others before/,
  })
  await pool.query(`insert into notify.migrations values ('9999_later', '')`)
  await t.rejects(migrate(url, log), {
    constructor: StartError,
    message: /9999_later, which this version of Ravenpost does not have/,
  })
  const command = promisify(execFile)(process.execPath, [join(root, 'src/commands/migrate.ts')], {
    env: environment(url),
  })
  await t.rejects(command, { code: 1, stderr: /^The database has run the migration 9999_later.*\n$/ })
})

test('a database older than the first release is refused with or without migrating', async (t) => {
  const { url, pool } = await migratedDatabase(t)
  const replaced = [
    '0001_social',
    '0002_outbox',
    '0003_inbox',
    '0004_ops',
    '0005_search_bookmarks',
    '0282_password_mail',
  ]
  await pool.query('delete from notify.migrations')
  await pool.query(`insert into notify.migrations select name, '' from unnest($1::text[]) name`, [replaced])
  const refused = { constructor: StartError, message: /older than the first release.* 0004_ops,.*Drop the database/ }
  const config = readConfig({ DATABASE_URL: url, JWT_SECRET: 'x'.repeat(32) })
  for (const role of ['all', 'api'] as const)
    await t.rejects(
      openDatabase(config, role, log, () => {}),
      refused,
      role,
    )
  await t.rejects(
    promisify(execFile)(process.execPath, [join(root, 'src/commands/migrate.ts')], { env: environment(url) }),
    {
      code: 1,
      stderr: /^The database is older than the first release[^\n]*\n$/,
    },
  )
})

test('a start without migrating refuses an empty database and names the command to migrate', async (t) => {
  const { url } = await emptyDatabase(t)
  const config = readConfig({ DATABASE_URL: url, JWT_SECRET: 'x'.repeat(32) })
  await t.rejects(
    openDatabase(config, 'api', log, () => {}),
    { message: /lacks the migrations 0001_social, .*: run npm run/ },
  )
})

test('released migrations come first and keep their content', async (t) => {
  const names = await ourNames()
  const released: Record<string, string> = JSON.parse(await readFile(join(root, 'migrations', 'released.json'), 'utf8'))
  t.same(Object.keys(released), names.slice(0, Object.keys(released).length))
  const changed = async (checksums: Record<string, string>) => {
    const found: string[] = []
    for (const [name, checksum] of Object.entries(checksums))
      if ((await checksumOf(name)) !== checksum) found.push(name)
    return found
  }
  t.same(await changed(released), [], 'add a migration instead of changing a released one')
  const [first = '', second = ''] = names
  t.same(await changed({ [first]: await checksumOf(first), [second]: 'another' }), [second], 'a change is found')
})

test('advisory locks of another session do not block migrations', async (t) => {
  const { url, pool } = await emptyDatabase(t)
  // The keys that an earlier version and Kysely lock.
  const stranger = await pool.connect()
  await stranger.query('select pg_advisory_lock(8241932264424895348), pg_advisory_lock(3853314791062309107)')
  t.ok((await migrate(url, log)).length > 0)
  stranger.release()
})

test('an owner who cannot create roles gets a clear message', async (t) => {
  const { url } = await emptyDatabase(t)
  const admin = new pg.Client({ connectionString: url })
  await admin.connect()
  const name = `owner_${new URL(url).pathname.slice(-6)}`
  await admin.query(
    `create role ${name} login password 'limited'; alter database ${new URL(url).pathname.slice(1)} owner to ${name}`,
  )
  t.teardown(async () => {
    await admin.query(`reassign owned by ${name} to current_user; drop owned by ${name}; drop role ${name}`)
    await admin.end()
  })
  const lines: string[] = []
  const asOwner = Object.assign(new URL(url), { username: name, password: 'limited' }).href
  await migrate(asOwner, pino({}, { write: (line) => void lines.push(line) }))
  // Roles belong to the cluster: where they exist already, it is the log that cannot be given away.
  t.match(lines.join(''), /docs\/security\.md says what to do/)
})

async function ourNames(): Promise<string[]> {
  const files = await readdir(join(root, 'migrations'))
  return files
    .filter((file) => file.endsWith('.sql'))
    .map((file) => file.replace(/\.sql$/, ''))
    .sort()
}

/** As `sha256sum migrations/<name>.sql` prints it. */
async function checksumOf(name: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(join(root, 'migrations', `${name}.sql`)))
    .digest('hex')
}

/** A folder with our migrations and one more. */
async function ourMigrationsAnd(t: Test, name: string, text: string): Promise<URL> {
  const folder = await mkdtemp(join(tmpdir(), 'ravenpost-migrations-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  await cp(join(root, 'migrations'), folder, { recursive: true })
  await writeFile(join(folder, `${name}.sql`), text)
  return pathToFileURL(`${folder}/`)
}
