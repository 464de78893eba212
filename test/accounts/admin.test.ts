import { test } from 'tap'
import { ensureAdmin, grantAdmin } from '../../src/accounts/admin.ts'
import { call, signIn } from '../client.ts'
import { setup } from '../setup.ts'

test('an empty database gets one admin, however many processes start', async (t) => {
  const { app, url, pool } = await setup(t, { env: { ADMIN_PASSWORD: 'the operator knows' } })
  const made = await Promise.all([ensureAdmin(app), ensureAdmin(app), ensureAdmin(app)])
  t.same(made, [undefined, undefined, undefined], 'a given password is not told')
  const { rows } = await pool.query(
    'select username, role from social.users natural join (select user_id as id from notify.inbox) i',
  )
  t.same(rows, [{ username: 'admin', role: 'admin' }])
  const { status, body } = await call(url, 'POST', '/auth/signin', { login: 'admin', password: 'the operator knows' })
  t.equal(status, 200)
  const authorization = `Bearer ${body.accessToken}`
  t.equal((await call(url, 'GET', '/admin/dead-letters', undefined, { authorization })).status, 200)
})

test('a password is made for our own database, and told once', async (t) => {
  const { app, url } = await setup(t)
  const embedded = { ...app, config: { ...app.config, embedded: true } }
  const password = await ensureAdmin(embedded)
  t.match(password, /^[\w-]{16}$/)
  t.equal(await ensureAdmin(embedded), undefined)
  t.equal((await call(url, 'POST', '/auth/signin', { login: 'admin', password })).status, 200)
})

test('a database with users gets no admin; one of them can be made it', async (t) => {
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
