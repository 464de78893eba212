import { execFile } from 'node:child_process'
import { mkdtemp, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import { pino } from 'pino'
import { test } from 'tap'
import { type Config, readConfig } from '../../src/config.ts'
import { startEmbedded } from '../../src/db/embedded/embedded.ts'
import { memoryOfMachine } from '../../src/db/embedded/settings.ts'
import { migrate } from '../../src/migrate.ts'
import { openDatabase } from '../../src/open-database.ts'

const run = promisify(execFile)
const log = pino({ level: 'silent' })

test('a restored copy of a data directory gets a new epoch, a plain restart does not', async (t) => {
  const home = await mkdtemp(join(tmpdir(), 'ravenpost-copied-'))
  t.teardown(() => rm(home, { recursive: true, force: true }))
  const [data, backup] = [join(home, 'data'), join(home, 'backup')]
  const first = await epochAfterStart(data)
  t.equal(await epochAfterStart(data), first, 'started again')
  await run('cp', ['-a', data, backup])

  await run('cp', ['-a', `${backup}/.`, data])
  const second = await epochAfterStart(data)
  t.not(second, first, 'copied over the old one')
  t.equal(await epochAfterStart(data), second)

  await rm(data, { recursive: true })
  await rename(backup, data)
  const third = await epochAfterStart(data)
  t.not(third, first, 'put in its place')
  t.equal(await epochAfterStart(data), third)
})

test('with the embedded server, connections use the role ravenpost_app, also if the superuser made the database', async (t) => {
  const dataDir = await mkdtemp(join(tmpdir(), 'ravenpost-app-'))
  t.teardown(() => rm(dataDir, { recursive: true, force: true }))
  const ofOld = await startEmbedded(dataDir, log)
  await migrate(ofOld.url, log)
  await ofOld.stop()
  await withStarted(dataDir, async (client, { databaseUrl, databaseUrlDirect }) => {
    t.equal(databaseUrlDirect, databaseUrl)
    const { rows } = await client.query(
      'select session_user as name, rolsuper as super from pg_roles where rolname = session_user',
    )
    t.same(rows, [{ name: 'ravenpost_app', super: false }])
    const memory = `${Math.floor(memoryOfMachine() / 1024 ** 2)}MB`
    // The free disk space of a test is small, and limits it.
    const { rows: advice } = await client.query(
      `select setting, value from ops.advice($1) where setting <> 'max_wal_size'`,
      [memory],
    )
    t.same(advice, [], 'nothing to advise')
  })
})

async function epochAfterStart(dataDir: string): Promise<string> {
  return withStarted(dataDir, async (client) => {
    const { rows } = await client.query('select epoch from notify.installation')
    return rows[0].epoch
  })
}

async function withStarted<T>(dataDir: string, look: (client: pg.Client, config: Config) => Promise<T>): Promise<T> {
  const closing: (() => Promise<unknown>)[] = []
  const given = readConfig({ DATA_DIR: dataDir })
  const config = await openDatabase(given, 'all', log, (_, close) => void closing.push(close))
  const client = new pg.Client({ connectionString: config.databaseUrl })
  try {
    await client.connect()
    return await look(client, config)
  } finally {
    await client.end()
    for (const close of closing) await close()
  }
}
