import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { type Test, test } from 'tap'
import { adminLine, ensureAdmin, grantAdmin } from '../../../src/social/accounts/admin.ts'
import { call, PASSWORD, signIn } from '../../client.ts'
import { setup } from '../../setup.ts'

test('an empty database gets one admin, however many processes start', async (t) => {
  const { app, url, pool } = await setup(t, { env: { ADMIN_PASSWORD: 'the operator knows' } })
  const made = await Promise.all([ensureAdmin(app), ensureAdmin(app), ensureAdmin(app)])
  for (const access of made) t.match(access, /^given/)
  const { rows } = await pool.query(
    'select username, role from social.users natural join (select user_id as id from notify.inbox) i',
  )
  t.same(rows, [{ username: 'admin', role: 'admin' }])
  const { status, body } = await call(url, 'POST', '/auth/signin', { login: 'admin', password: 'the operator knows' })
  t.equal(status, 200)
  const authorization = `Bearer ${body.accessToken}`
  t.equal((await call(url, 'GET', '/admin/dead-letters', undefined, { authorization })).status, 200)
})

/** As on a first start without DATABASE_URL, in a directory of its own. */
async function firstStart(t: Test) {
  const system = await setup(t)
  const dataDir = await mkdtemp(join(tmpdir(), 'ravenpost-admin-'))
  t.teardown(() => rm(dataDir, { recursive: true, force: true }))
  // The server's routes look at this same object.
  Object.assign(system.app.config, { embedded: true, dataDir })
  return { ...system, file: join(dataDir, 'admin-password') }
}

test('a generated admin password is shown once on a terminal', async (t) => {
  const { app, url, file } = await firstStart(t)
  const line = adminLine(app, await ensureAdmin(app, true))
  const password = /password ([\w-]{16}) \(shown only this once\)/.exec(line)?.[1]
  await t.rejects(readFile(file), { code: 'ENOENT' })
  t.equal(adminLine(app, await ensureAdmin(app, true)), 'admin, with the password of the first start, or a later one')
  t.equal((await call(url, 'POST', '/auth/signin', { login: 'admin', password })).status, 200)
})

test('without a terminal, the admin password is in a file only its owner can read, until it is changed', async (t) => {
  const { app, url, file } = await firstStart(t)
  const line = adminLine(app, await ensureAdmin(app, false))
  const password = (await readFile(file, 'utf8')).trim()
  t.match(line, file)
  t.notMatch(line, password)
  t.equal((await stat(file)).mode & 0o777, 0o600)
  t.match(adminLine(app, await ensureAdmin(app, false)), file, 'a later start names it too')

  const signedIn = await call(url, 'POST', '/auth/signin', { login: 'admin', password })
  t.equal(signedIn.status, 200)
  const as = { authorization: `Bearer ${signedIn.body.accessToken}` }
  const dead = () => call(url, 'GET', '/admin/dead-letters', undefined, as)
  t.match(await dead(), { status: 403, body: { code: 'PASSWORD_CHANGE_REQUIRED' } })
  const mine = { currentPassword: password, password: 'only I know this' }
  t.equal((await call(url, 'PUT', '/auth/password', mine, as)).status, 204)
  t.equal((await dead()).status, 200)
  await t.rejects(readFile(file), { code: 'ENOENT' })
})

test('ADMIN_PASSWORD must not be common, and is never ignored silently', async (t) => {
  const warnings: string[] = []
  const log = pino({ level: 'warn' }, { write: (line: string) => void warnings.push(JSON.parse(line).msg) })
  const common = await setup(t, { env: { ADMIN_PASSWORD: 'password1' }, log })
  await t.rejects(ensureAdmin(common.app), { message: /^ADMIN_PASSWORD is a common password/ })
  await common.as('ana')
  t.equal(await ensureAdmin(common.app), 'nobody')
  t.match(warnings.at(-1), /^ADMIN_PASSWORD makes no admin/)
  t.match(
    await call(common.url, 'POST', '/auth/signup', { username: 'admin', email: 'a@example.org', password: PASSWORD }),
    {
      status: 409,
      body: { code: 'USERNAME_TAKEN' },
    },
  )
})

test('a database with users gets no new admin, but one of them can become admin', async (t) => {
  const { app, url, pool, as } = await setup(t, { env: { ADMIN_PASSWORD: 'the operator knows' } })
  const ana = await as('ana')
  await ensureAdmin(app)
  const { rows } = await pool.query('select username from social.users')
  t.same(rows, [{ username: 'ana' }])

  t.match(await ana.request('GET', '/admin/dead-letters'), { status: 403, body: { code: 'FORBIDDEN' } })
  t.equal(await grantAdmin(pool, 'nobody'), false)
  t.equal(await grantAdmin(pool, 'ana'), true)
  t.equal((await (await signIn(url, 'ana')).request('GET', '/admin/dead-letters')).status, 200)
})
