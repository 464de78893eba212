import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import t, { type Test, test } from 'tap'
import { processArguments } from '../../src/db/embedded/process-mark.ts'
import { memoryOfMachine, settingsFor } from '../../src/db/embedded/settings.ts'
import { eventually } from '../setup.ts'

const MIB = 1024 ** 2
const GIB = 1024 ** 3

/** Most tests start in this one, one after another: making a cluster takes a second. */
const dataDir = await makeDataDir(t)

test('data survives a clean stop and a new start', async (t) => {
  const first = await hold(t, dataDir)
  t.equal(first.firstStart, true)
  await query(first.url, 'create table kept as select 42 as answer')
  t.equal(await first.end(), 0)

  const second = await hold(t, dataDir)
  t.equal(second.firstStart, false)
  t.same(await query(second.url, 'select answer from kept'), [{ answer: 42 }])
  t.same(await query(second.url, 'show fsync'), [{ fsync: 'on' }])
  t.match(await query(second.url, 'show server_version'), [{ server_version: /^18\./ }])
})

test('settings follow the memory of the machine, and the WAL the free disk space too', async (t) => {
  const sizes = ({ shared_buffers, effective_cache_size, max_wal_size, min_wal_size }: Record<string, string>) =>
    [shared_buffers, effective_cache_size, max_wal_size, min_wal_size].map((size) => Number(size?.replace(/MB$/, '')))
  for (const [memory, ...expected] of [
    [512 * MIB, 128, 256, 1024, 128],
    [2 * GIB, 512, 1024, 1024, 128],
    [8 * GIB, 2048, 4096, 2048, 256],
    [24 * GIB, 2048, 12_288, 4096, 512],
    [64 * GIB, 2048, 32_768, 4096, 512],
  ] as const)
    t.same(sizes(settingsFor(memory)), expected, `${memory / GIB} GiB`)
  t.same(sizes(settingsFor(64 * GIB, 16 * GIB)), [2048, 32_768, 2048, 256], '16 GiB free')
  t.same(sizes(settingsFor(64 * GIB, 0)), [2048, 32_768, 1024, 128], 'a full disk')
  t.ok(memoryOfMachine() > 0 && memoryOfMachine() <= totalmem())
})

test('an existing data directory gets the settings of the machine that it starts on', async (t) => {
  const shown = async (memory: number) => {
    const { url, end } = await hold(t, dataDir, memory)
    const rows = await query(
      url,
      `select current_setting('shared_buffers') as buffers, current_setting('max_wal_size') as wal`,
    )
    await end()
    return rows
  }
  t.same(await shown(2 * GIB), [{ buffers: '512MB', wal: '1GB' }])
  t.same(await shown(512 * MIB), [{ buffers: '128MB', wal: '1GB' }])
})

test('a data directory of a killed process starts again, and no server is left behind', async (t) => {
  const first = await hold(t, dataDir)
  await query(first.url, 'update kept set answer = 43')
  const orphan = await serverPid(dataDir)
  first.kill()

  const second = await hold(t, dataDir)
  t.same(await query(second.url, 'select answer from kept'), [{ answer: 43 }])
  t.equal(processArguments(orphan), undefined, 'the orphaned server was stopped')
})

test('the death of the PostgreSQL server is an uncaught error, and its data directory starts again', async (t) => {
  const first = await hold(t, dataDir)
  await query(first.url, 'update kept set answer = 44')
  process.kill(await serverPid(dataDir), 'SIGKILL')
  t.equal(await first.exit, 1)

  const second = await hold(t, dataDir)
  t.same(await query(second.url, 'select answer from kept'), [{ answer: 44 }])
})

test('a second start in a data directory in use fails with a message and does no harm', async (t) => {
  const first = await hold(t, dataDir)
  await t.rejects(hold(t, dataDir), { message: /Ravenpost already runs in .* \(process \d+\): stop that one first/ })
  t.same(await query(first.url, 'select 1 as one'), [{ one: 1 }])
})

test('a lock of an earlier process is ignored when another process now has its id', async (t) => {
  await writeFile(join(dataDir, `ravenpost-${process.pid}.lock`), 'another boot 4711')
  const { url } = await hold(t, dataDir)
  t.same(await query(url, 'select 1 as one'), [{ one: 1 }])
  t.notOk((await readdir(dataDir)).includes(`ravenpost-${process.pid}.lock`), 'the stale claim is gone')
})

test('a postmaster.pid with an unrelated process id does not prevent the start', async (t) => {
  const bystander = spawn('sleep', ['600'])
  t.teardown(() => bystander.kill())
  await writeFile(join(dataDir, 'postgres', 'postmaster.pid'), `${bystander.pid}\n${dataDir}/postgres\n1\n5432\n\n\n`)
  const { url } = await hold(t, dataDir)
  t.same(await query(url, 'select 1 as one'), [{ one: 1 }])
  t.equal(bystander.exitCode, null, 'the bystander lives')
})

test('secrets are created once and only their owner can read them', async (t) => {
  const secrets = join(dataDir, 'secrets.json')
  const made = await readFile(secrets, 'utf8')
  t.equal((await stat(secrets)).mode & 0o777, 0o600)
  await (await hold(t, dataDir)).end()
  t.equal(await readFile(secrets, 'utf8'), made)

  await writeFile(secrets, '{}')
  await t.rejects(hold(t, dataDir), { message: /secrets.json was changed/ })
})

test('an interrupted initdb is repeated', async (t) => {
  const dataDir = await makeDataDir(t)
  await mkdir(join(dataDir, 'postgres.new', 'base'), { recursive: true })
  await writeFile(join(dataDir, 'postgres.new', 'PG_VERSION'), '18\n')
  const { firstStart, url } = await hold(t, dataDir)
  t.equal(firstStart, true)
  t.same(await query(url, 'select current_database() as name'), [{ name: 'ravenpost' }])
})

async function makeDataDir(t: Test): Promise<string> {
  const parent = await mkdtemp(join(tmpdir(), 'ravenpost-embedded-'))
  t.teardown(() => rm(parent, { recursive: true, force: true }))
  return join(parent, 'data')
}

type Holder = { url: string; firstStart: boolean; exit: Promise<number>; end(): Promise<number>; kill(): void }

/** Starts a holder process. Rejects with its output if it ends before the server runs. */
async function hold(t: Test, dataDir: string, memory = 512 * MIB): Promise<Holder> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'embedded-holder.ts'), dataDir, `${memory}`])
  const exit = once(child, 'exit').then(([code]) => Number(code))
  const end = () => {
    child.stdin.end()
    return exit
  }
  t.teardown(end)
  child.stdin.on('error', () => {})
  const { url, firstStart } = JSON.parse(await firstLine(child))
  return { url, firstStart, exit, end, kill: () => child.kill('SIGKILL') }
}

async function firstLine(child: ChildProcess): Promise<string> {
  let out = ''
  let problems = ''
  child.stdout?.on('data', (chunk) => {
    out += chunk
  })
  child.stderr?.on('data', (chunk) => {
    problems += chunk
  })
  let ended = false
  child.once('close', () => {
    ended = true
  })
  return eventually(() => {
    if (ended) throw new Error(problems)
    return out.includes('\n') && out
  }, 60)
}

async function serverPid(dataDir: string): Promise<number> {
  return Number((await readFile(join(dataDir, 'postgres', 'postmaster.pid'), 'utf8')).split('\n')[0])
}

async function query(url: string, text: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url })
  // The server may be killed while this connection closes.
  client.on('error', () => {})
  await client.connect()
  try {
    return (await client.query(text)).rows
  } finally {
    await client.end()
  }
}
