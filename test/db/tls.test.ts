import { chown, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { pino } from 'pino'
import { generate } from 'selfsigned'
import { type Test, test } from 'tap'
import { closeApp, createApp } from '../../src/app.ts'
import { reasonOfStartError } from '../../src/base/process/start-error.ts'
import { Listener } from '../../src/db/listener.ts'
import { migrate } from '../../src/migrate.ts'
import { createJobPool } from '../../src/worker/job-pool.ts'
import { eventually, startSystem, testConfig } from '../setup.ts'
import { ownPostgres } from '../system/postgres.ts'

const log = pino({ level: 'silent' })

test('sslmode=verify-full encrypts every connection and refuses another server', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'ravenpost-tls-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const [ca, otherCa] = [await makeAuthority('Ours'), await makeAuthority('Theirs')]
  await writeFile(join(folder, 'ca.pem'), ca.cert)
  await writeFile(join(folder, 'other.pem'), otherCa.cert)
  const { url: plain } = await ownPostgres(t)
  await requireTls(plain, await makeCertificate('localhost', ca))

  const url = (host: string, options: string) => plain.replace('127.0.0.1', host) + options
  const good = url('localhost', `?sslmode=verify-full&sslrootcert=${join(folder, 'ca.pem')}`)
  t.same(await migrate(good, log), [])
  const system = await startSystem(t, good, { worker: true, push: true })
  const [ana, ben] = [await system.as('ana'), await system.as('ben')]
  await ben.follow(ana.id)
  await eventually(async () => (await ana.get('/notifications')).items.length === 1)
  await eventually(() => system.push?.listenAlive())
  const connections = async () =>
    (
      await system.pool.query<{ name: string; encrypted: boolean }>(
        `select application_name as name, bool_and(ssl) as encrypted from pg_stat_activity join pg_stat_ssl using (pid)
         where backend_type = 'client backend' group by 1`,
      )
    ).rows
  const names = (await connections()).map(({ name }) => name)
  for (const name of ['app', 'jobs', 'listen', 'worker']) t.ok(names.includes(`ravenpost ${name}`), name)
  // Backends of before, of the test's own, may be ending still.
  t.ok(await eventually(async () => (await connections()).every(({ encrypted }) => encrypted)))

  const refused: [why: string, url: string, reason: RegExp][] = [
    ['no TLS', plain, /no encryption/],
    ['nobody known vouches for it', url('localhost', '?sslmode=verify-full'), /certificate/],
    [
      'another authority',
      url('localhost', `?sslmode=verify-full&sslrootcert=${join(folder, 'other.pem')}`),
      /certificate/,
    ],
    ['another name', good.replace('localhost', '127.0.0.1'), /IP: 127.0.0.1 is not in the cert's list/],
  ]
  for (const [why, url, reason] of refused) await t.test(why, (t) => connectsNowhere(t, url, reason))
})

/** Neither requests nor jobs, LISTEN or migrations. */
async function connectsNowhere(t: Test, url: string, reason: RegExp): Promise<void> {
  const app = createApp(testConfig(url), log)
  const listener = new Listener(app, ['x'], { notification() {}, connected() {} })
  const jobs = createJobPool({ url, size: 1, log, name: 'jobs' })
  await t.rejects(app.pool.query('select'), { message: reason })
  await t.rejects(jobs.pool.query('select'), { message: reason })
  await t.rejects(migrate(url, log), { message: reason })
  await listener.start()
  t.notOk(listener.alive())
  const error = await migrate(url, log).catch((error) => error)
  t.match(reasonOfStartError(error), /DATABASE_URL/, 'who starts it learns which variable to look at')
  await listener.close()
  await jobs.pool.end()
  await closeApp(app)
}

async function makeAuthority(name: string) {
  const made = await generate([{ name: 'commonName', value: name }], {
    keyType: 'ec',
    algorithm: 'sha256',
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, critical: true },
    ],
  })
  return { cert: made.cert, key: made.private }
}

async function makeCertificate(host: string, ca: { cert: string; key: string }) {
  const made = await generate([{ name: 'commonName', value: host }], {
    keyType: 'ec',
    algorithm: 'sha256',
    ca,
    extensions: [{ name: 'subjectAltName', altNames: [{ type: 2, value: host }] }],
  })
  return { cert: made.cert, key: made.private }
}

/** From now on the server takes nothing but TLS. */
async function requireTls(url: string, { cert, key }: { cert: string; key: string }): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  const { rows } = await client.query('show data_directory')
  const { uid, gid } = await stat(rows[0].data_directory)
  const files = { 'server.crt': cert, 'server.key': key, 'pg_hba.conf': 'hostssl all all 127.0.0.1/32 scram-sha-256\n' }
  for (const [name, content] of Object.entries(files)) {
    const path = join(rows[0].data_directory, name)
    await writeFile(path, content, { mode: 0o600 })
    await chown(path, uid, gid)
  }
  await client.query('alter system set ssl = on')
  await client.query('select pg_reload_conf()')
  await client.end()
  await eventually(async () => {
    const plain = new pg.Client({ connectionString: url })
    return plain.connect().then(
      () => plain.end().then(() => false),
      () => true,
    )
  })
}
