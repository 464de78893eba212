import { execFile } from 'node:child_process'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import { type Test, test } from 'tap'
import { pendingMigrations } from '../../src/db/migrate.ts'

const root = join(import.meta.dirname, '..', '..')

test('ten processes that migrate one fresh database at once run each migration once', async (t) => {
  const { url, pool } = await emptyDatabase(t)
  const names = (await readdir(join(root, 'migrations'))).map((file) => file.replace(/\.sql$/, '')).sort()
  t.same(await pendingMigrations(pool), names, 'nothing has been run before')

  const runs = await Promise.all(Array.from({ length: 10 }, () => runCommand(url)))
  t.same(runs.flat().sort(), names, 'each was run by exactly one of the ten')
  t.same(await pendingMigrations(pool), [])
  const { rows } = await pool.query('select count(*)::int as n from graphile_worker.migrations')
  t.ok(rows[0].n > 0, 'the schema of the jobs is there')
})

test('a database that is up to date is left alone', async (t) => {
  const { url } = await emptyDatabase(t)
  t.ok((await runCommand(url)).length > 0)
  t.same(await runCommand(url), [])
})

/** Runs `npm run migrate`'s command; returns the migrations it ran. */
async function runCommand(url: string): Promise<string[]> {
  const { stdout } = await promisify(execFile)(process.execPath, [join(root, 'src/db/migrate-command.ts')], {
    env: { ...process.env, DATABASE_URL: url, JWT_SECRET: 'not used here, but it has to be there', LOG_LEVEL: 'info' },
  })
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '').ran
}

async function emptyDatabase(t: Test): Promise<{ url: string; pool: pg.Pool }> {
  const { TEST_DATABASE_URL: serverUrl, TEST_TEMPLATE: template } = process.env
  if (!serverUrl || !template) throw new Error('run this with npm test')
  const name = `${template}_migrate_${Math.random().toString(36).slice(2, 8)}`
  const admin = new pg.Pool({ connectionString: serverUrl, max: 1 })
  await admin.query(`create database ${name}`)
  const url = Object.assign(new URL(serverUrl), { pathname: `/${name}` }).href
  const pool = new pg.Pool({ connectionString: url, max: 1 })
  // Dropping the database may cut a connection off that is still saying goodbye.
  pool.on('error', () => {})
  t.teardown(async () => {
    await pool.end()
    await admin.query(`drop database ${name} with (force)`)
    await admin.end()
  })
  return { url, pool }
}
