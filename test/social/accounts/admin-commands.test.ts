import { test } from 'tap'
import { grantAdmin } from '../../../src/social/accounts/admin.ts'
import { call, PASSWORD, signIn } from '../../client.ts'
import { runCommandFile as run } from '../../server-process.ts'
import { setup } from '../../setup.ts'

test('granting admin shows the user and asks the operator to confirm', async (t) => {
  const { databaseUrl, url, as } = await setup(t)
  const ana = await as('ana')
  const role = async () => (await ana.get('/auth/me')).role
  const asked = await run(databaseUrl, 'grant-admin', 'ana')
  t.match(asked, { status: 1, err: /--yes/ })
  t.match(asked.out, new RegExp(`id ${ana.id}, ana@example.org \\(not verified\\), signed up \\d{4}-.* 0 days ago`))
  t.equal(await role(), 'user')

  t.match(await run(databaseUrl, 'grant-admin', 'ana', '--yes'), { status: 0, out: /not verified/ })
  t.equal(await role(), 'admin')
  t.equal((await (await signIn(url, 'ana')).request('GET', '/admin/dead-letters')).status, 200)
  t.match(await run(databaseUrl, 'grant-admin', 'nobody', '--yes'), { status: 1, err: /no user named nobody/ })
})

test('a revoked admin loses all rights at once, also with an old token', async (t) => {
  const { databaseUrl, url, pool, as } = await setup(t)
  const ana = await as('ana')
  await grantAdmin(pool, 'ana')
  const admin = await signIn(url, 'ana')
  const send = { recipientId: ana.id, title: 'Hello', message: 'It is you' }
  const statuses = async () => [
    (await admin.request('GET', '/admin/dead-letters')).status,
    (await admin.request('POST', '/notifications/send', send, { 'idempotency-key': String(Math.random()) })).status,
    (await admin.request('GET', '/auth/me')).status,
  ]
  t.same(await statuses(), [200, 202, 200])
  t.match(await run(databaseUrl, 'revoke-admin', 'ana'), { status: 0 })
  t.same(await statuses(), [403, 403, 200])
  t.match(await run(databaseUrl, 'revoke-admin', 'ana'), { status: 1, err: /no admin, operator or reader named ana/ })
  await pool.query(`update social.users set role = 'operator' where username = 'ana'`)
  t.match(await run(databaseUrl, 'revoke-admin', 'ana'), { status: 0 }, 'the other roles too')
  t.equal((await ana.get('/auth/me')).role, 'user')
})

test('an admin changes the roles of others with their own password or soon after the sign-in, and each role has its rights', async (t) => {
  const { url, pool, as } = await setup(t)
  const [ana, ben] = [await as('ana'), await as('ben')]
  await grantAdmin(pool, 'ana')
  const admin = await signIn(url, 'ana')
  const path = `/admin/users/${ben.id}/role`
  const change = (role: string, currentPassword?: string) => admin.request('PUT', path, { role, currentPassword })
  t.match(await change('reader'), { status: 200, body: { role: 'reader' } })
  await pool.query(`update social.sessions set created_at = now() - interval '11 minutes'`)
  t.match(await change('operator'), { status: 403, body: { code: 'REAUTHENTICATION_REQUIRED' } })
  t.match(await change('operator', 'not mine'), { status: 403, body: { code: 'WRONG_PASSWORD' } })
  t.match(await change('operator', PASSWORD), { status: 200, body: { role: 'operator' } })
  const own = await admin.request('PUT', `/admin/users/${ana.id}/role`, { role: 'user', currentPassword: PASSWORD })
  t.match(own, { status: 422, body: { code: 'CANNOT_CHANGE_OWN_ROLE' } })
  t.same(
    (await admin.get('/admin/roles')).items.map(({ id, role }: { id: string; role: string }) => [id, role]),
    [
      [ana.id, 'admin'],
      [ben.id, 'operator'],
    ],
  )

  const operator = await signIn(url, 'ben')
  t.equal((await operator.get('/auth/me')).role, 'operator')
  const statuses = async () => [
    (await operator.request('GET', '/admin/dead-letters')).status,
    (await operator.request('POST', '/admin/dead-letters/1/replay')).status,
    (await operator.request('PUT', `/admin/users/${ana.id}/role`, { role: 'user', currentPassword: PASSWORD })).status,
  ]
  t.same(await statuses(), [200, 404, 403])
  await operator.request('PUT', `/users/${ana.id}/block`)
  t.match(await change('reader', PASSWORD), { status: 200 }, 'a block does not protect from a lower role')
  t.same(await statuses(), [200, 403, 403], 'a lower role counts at once, with the token of before')
  await change('user', PASSWORD)
  t.same(await statuses(), [403, 403, 403])
  const cookie = await call(url, 'POST', '/auth/signin?cookie=true', { login: 'ana', password: PASSWORD })
  const byCookie = { cookie: cookie.headers.get('set-cookie') ?? '' }
  t.equal((await call(url, 'GET', '/admin/roles', undefined, byCookie)).status, 401, 'no page acts by a cookie alone')
})
