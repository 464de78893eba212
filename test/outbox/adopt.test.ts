import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { freePort } from '../../src/db/free-port.ts'
import { migrate } from '../../src/db/migrate.ts'
import { inboxOf, noDrift, settled } from '../settled.ts'
import { setup, startSystem, type TestSystem } from '../setup.ts'

const run = promisify(execFile)
const log = pino({ level: 'silent' })

/** The tools of a server that is installed as Debian does it; the embedded server brings neither pg_dump nor pg_basebackup. */
const debian = '/usr/lib/postgresql/15/bin'

/** Ana's post liked by ben and told, then liked by cem and dia and not read yet: one of the two in a transaction still open. */
async function leaveUnread(system: TestSystem): Promise<void> {
  const [ana, ben, cem] = [await system.as('ana'), await system.as('ben'), await system.as('cem')]
  const post = await ana.post('hello')
  const { startWorker } = await import('../../src/worker.ts')
  const { tasks } = await import('../../workers/index.ts')
  const worker = await startWorker(system.app, tasks)
  await ben.like(post.id)
  await settled(system)
  await worker.close()
  await cem.like(post.id)
  await cem.follow(ana.id)
}

async function epochOf(pool: pg.Pool): Promise<string> {
  return (await pool.query('select epoch from notify.installation')).rows[0].epoch
}

/** What holds after adoption: nothing lost, nothing doubled, another epoch, and the log goes on. */
async function goesOn(t: Test, databaseUrl: string, epochBefore: string): Promise<void> {
  const system = await startSystem(t, databaseUrl, { worker: true })
  t.match(
    await inboxOf(system, 'ana'),
    [
      { type: 'user.followed', actors: 'cem' },
      { type: 'post.liked', actors: 'cem, ben', actor_count: 2 },
    ],
    'nothing lost, nothing doubled',
  )
  t.not(await epochOf(system.pool), epochBefore, 'the epoch changed')
  const dia = await system.as('dia')
  const { rows } = await system.pool.query('select id, author_id from social.posts')
  await dia.like(rows[0].id)
  t.match(await inboxOf(system, 'ana'), [{ actors: 'dia, cem, ben', actor_count: 3 }, {}], 'and the log goes on')
  await noDrift(t, system)
}

t.test('a copied database is adopted', async (t) => {
  const system = await setup(t)
  await leaveUnread(system)
  const epoch = await epochOf(system.pool)
  await system.server.close()
  await system.app.wakeUps.close()
  await system.pool.end()
  const name = new URL(system.databaseUrl).pathname.slice(1)
  const admin = new pg.Client({ connectionString: process.env.TEST_DATABASE_URL })
  await admin.connect()
  await admin.query(`create database ${name}_copy template ${name}`)
  t.teardown(async () => {
    await admin.query(`drop database ${name}_copy with (force)`)
    await admin.end()
  })
  await goesOn(t, `${system.databaseUrl}_copy`, epoch)
})

t.test('a dump restored into a fresh cluster goes on', { skip: !existsSync(debian) && 'needs pg_dump' }, async (t) => {
  const [old, fresh] = [await startCluster(t), await startCluster(t)]
  await migrate(old.url, log)
  const system = await startSystem(t, old.url)
  await leaveUnread(system)
  // The fresh cluster has had fewer transactions: stored snapshots lie in its future.
  const dump = join(old.dir, 'dump')
  await run(join(debian, 'pg_dump'), ['--format=custom', `--file=${dump}`, old.url])
  await run(join(debian, 'pg_restore'), ['--no-owner', '--no-acl', `--dbname=${fresh.url}`, dump])
  await goesOn(t, fresh.url, await epochOf(system.pool))
})

t.test('a promoted standby goes on', { skip: !existsSync(debian) && 'needs pg_basebackup' }, async (t) => {
  const primary = await startCluster(t)
  await migrate(primary.url, log)
  const system = await startSystem(t, primary.url)
  await leaveUnread(system)
  const epoch = await epochOf(system.pool)
  const standby = await startStandby(t, primary)
  await primary.stop()
  await asPostgres(join(debian, 'pg_ctl'), ['promote', '-w', '-D', join(standby.dir, 'data')])
  await goesOn(t, standby.url, epoch)
})

type Cluster = { dir: string; url: string; port: number; stop: () => Promise<void> }

async function startCluster(t: Test): Promise<Cluster> {
  const dir = await clusterDir(t)
  await asPostgres(join(debian, 'initdb'), ['-D', join(dir, 'data'), '-A', 'trust', '-U', 'postgres', '--no-sync'])
  return startPostgres(t, dir)
}

async function startStandby(t: Test, primary: Cluster): Promise<Cluster> {
  const dir = await clusterDir(t)
  const data = join(dir, 'data')
  await asPostgres(join(debian, 'pg_basebackup'), ['-D', data, '-R', '-X', 'stream', '-c', 'fast', '-d', primary.url])
  return startPostgres(t, dir)
}

async function clusterDir(t: Test): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'ravenpost-cluster-'))
  t.teardown(() => rm(dir, { recursive: true, force: true }))
  if (process.getuid?.() === 0) await run('chown', ['postgres', dir])
  return dir
}

async function startPostgres(t: Test, dir: string): Promise<Cluster> {
  const port = await freePort()
  const control = (...args: string[]) => asPostgres(join(debian, 'pg_ctl'), ['-D', join(dir, 'data'), '-w', ...args])
  await control('-o', `-p ${port} -k ${dir} -c fsync=off -h 127.0.0.1`, '-l', join(dir, 'log'), 'start')
  let running = true
  const stop = async () => {
    if (running) await control('-m', 'immediate', 'stop')
    running = false
  }
  t.teardown(stop)
  return { dir, port, url: `postgres://postgres@127.0.0.1:${port}/postgres`, stop }
}

/** PostgreSQL does not run as root. */
async function asPostgres(command: string, args: string[]): Promise<void> {
  if (process.getuid?.() === 0) await run('runuser', ['-u', 'postgres', '--', command, ...args])
  else await run(command, args)
}
