import { execFile } from 'node:child_process'
import { mkdtemp, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import { pino } from 'pino'
import { test } from 'tap'
import { readConfig } from '../../src/config.ts'
import { openDatabase } from '../../src/db/open.ts'

const run = promisify(execFile)
const log = pino({ level: 'silent' })

test('a data directory that was copied back gets a new epoch, one that was only started again does not', async (t) => {
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

async function epochAfterStart(dataDir: string): Promise<string> {
  const closing: (() => Promise<unknown>)[] = []
  const config = readConfig({ DATA_DIR: dataDir })
  const { databaseUrl } = await openDatabase(config, 'all', log, (_, close) => void closing.push(close))
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  const { rows } = await client.query('select epoch from notify.installation')
  await client.end()
  for (const close of closing) await close()
  return rows[0].epoch
}
