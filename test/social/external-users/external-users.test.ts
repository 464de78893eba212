import { type Test, test } from 'tap'
import { grantAdmin } from '../../../src/social/accounts/admin.ts'
import { newServiceToken } from '../../../src/social/service-tokens/tokens.ts'
import { type Answer, call, type TestClient } from '../../client.ts'
import { noDrift, settled } from '../../settled.ts'
import { type Options, setup } from '../../setup.ts'

/** A system, and a client with a service token of these scopes. */
async function withService(t: Test, options: Options = {}, scopes = ['users:write', 'notifications:send']) {
  const system = await setup(t, options)
  const { token, hash } = newServiceToken()
  await system.pool.query(`insert into social.service_tokens (name, scopes, token_hash) values ('app', $1, $2)`, [
    scopes,
    hash,
  ])
  let keys = 0
  const ask = (method: string, path: string, body?: unknown): Promise<Answer> =>
    call(system.url, method, path, body, { authorization: `Bearer ${token}`, 'idempotency-key': `key-${keys++}` })
  const put = (externalId: string, body: object = {}) =>
    ask('PUT', `/users/external/${encodeURIComponent(externalId)}`, body)
  return { ...system, ask, put }
}

test('an external user is created, changed, found and deleted by the external id', async (t) => {
  const { put, ask, as, pool } = await withService(t, { worker: true })
  const profile = {
    username: 'ana_b',
    displayName: 'Ana Banana',
    email: 'ana@example.org',
    emailVerified: true,
    avatarUrl: 'https://cdn.example.org/ana.png',
    locale: 'pt-br',
    timeZone: 'europe/lisbon',
  }
  const made = await put('auth0|ana', profile)
  t.match(made, {
    status: 201,
    body: {
      externalId: 'auth0|ana',
      username: 'ana_b',
      displayName: 'Ana Banana',
      avatarUrl: profile.avatarUrl,
      avatarMediaId: null,
      viewer: { following: false },
    },
  })
  const stored = async () =>
    (
      await pool.query(
        `select email, email_verified_at is not null as verified, locale, time_zone, reachable_by
         from social.users u join notify.inbox i on i.user_id = u.id where u.id = $1`,
        [made.body.id],
      )
    ).rows[0]
  t.same(await stored(), {
    email: 'ana@example.org',
    verified: true,
    locale: 'pt-BR',
    time_zone: 'Europe/Lisbon',
    reachable_by: ['email'],
  })
  t.same((await put('auth0|ana', profile)).body, made.body, 'again: the same')
  t.match(await put('auth0|ana'), { status: 200, body: made.body }, 'what is absent stays')
  const changed = await put('auth0|ana', { username: 'ana_c', email: null, avatarUrl: null, locale: null })
  t.match(changed, { status: 200, body: { id: made.body.id, username: 'ana_c', displayName: 'Ana Banana' } })
  t.equal('avatarUrl' in changed.body, false)
  t.match(await stored(), { email: null, verified: false, locale: null, time_zone: 'Europe/Lisbon', reachable_by: [] })
  await put('auth0|ana', { email: 'new@example.org' })
  t.match(await stored(), { email: 'new@example.org', verified: false }, 'a new address is not verified by itself')
  await put('auth0|ana', { emailVerified: true })
  t.match(await stored(), { email: 'new@example.org', verified: true, reachable_by: ['email'] })
  t.match(await ask('GET', '/users/external/auth0%7Cana'), {
    status: 200,
    body: { id: made.body.id, externalId: 'auth0|ana' },
  })

  const ben = await as('ben')
  const seen = await ben.get('/users/external/auth0%7Cana')
  t.match(seen, { id: made.body.id, username: 'ana_c' })
  t.equal('externalId' in seen, false, 'other users do not learn it')

  t.match(await ask('DELETE', '/users/external/auth0%7Cana'), { status: 204 })
  for (const method of ['GET', 'DELETE'])
    t.match(await ask(method, '/users/external/auth0%7Cana'), { status: 404, body: { code: 'USER_NOT_FOUND' } })
  t.match((await pool.query('select external_id, avatar_url from social.users where id = $1', [made.body.id])).rows, [
    { external_id: null, avatar_url: null },
  ])
  const again = await put('auth0|ana')
  t.equal(again.status, 201)
  t.not(again.body.id, made.body.id, 'a new user with an inbox of its own')
  t.match(again.body.username, /^user_[a-z0-9]{12}$/, 'with a name that was made up')
  const odd = `${'ü/?%'.repeat(63)}end`
  t.match(await put(odd), { status: 201, body: { externalId: odd } }, 'any text of up to 255 characters is an id')
  t.match(await ask('GET', `/users/external/${encodeURIComponent(odd)}`), { status: 200 })
  t.match(await put(`${odd}x`), { status: 400 })
})

test('one call writes many users, all or none', async (t) => {
  const { ask, as, pool } = await withService(t)
  const users = Array.from({ length: 1000 }, (_, n) => ({ externalId: `u${n}`, displayName: `User ${n}` }))
  const write = (list: object[]) => ask('PUT', '/users/external', { users: list })
  const first = await write(users)
  t.match(first, { status: 200, body: { created: 1000 } })
  t.same(
    first.body.items.map(({ externalId }: { externalId: string }) => externalId),
    users.map((user) => user.externalId),
  )
  const count = async () =>
    (await pool.query('select count(*)::int as n from social.users u join notify.inbox i on i.user_id = u.id')).rows[0]
      .n
  t.equal(await count(), 1000)
  const xmins = async () =>
    (await pool.query('select count(distinct xmin::text)::int as n from social.users')).rows[0].n
  t.match(await write([...users.slice(0, 500), { externalId: 'new', username: 'carla' }]), {
    status: 200,
    body: { created: 1 },
  })
  t.equal(await xmins(), 2, 'what did not change was not written')

  await as('dora')
  const refused = async (list: object[], status: number, body: object) => {
    t.match(await write([{ externalId: 'none', displayName: 'None' }, ...list]), { status, body }, JSON.stringify(body))
  }
  await refused([{ externalId: 'x', username: 'dora' }], 409, { code: 'USERNAME_TAKEN', detail: /dora/ })
  await refused([{ externalId: 'u1', username: 'c_arla' }], 409, { code: 'USERNAME_TAKEN', detail: /c_arla/ })
  await refused(
    [
      { externalId: 'x', username: 'eva_1' },
      { externalId: 'y', username: 'evai' },
    ],
    409,
    { code: 'USERNAME_TAKEN' },
  )
  await refused([{ externalId: 'u1', username: 'deleted_1' }], 409, { code: 'USERNAME_TAKEN' })
  await write([{ externalId: 'u2', email: 'two@example.org', emailVerified: true }])
  const taken = { email: 'Two@example.org', emailVerified: true }
  await refused([{ externalId: 'u1', ...taken }], 409, { code: 'EMAIL_TAKEN', detail: /two@example.org/ })
  await refused([{ externalId: 'x', ...taken }], 409, { code: 'EMAIL_TAKEN', detail: /two@example.org/ })
  for (const timeZone of ['Mars/Base', 'UTC+2', 'posix/UTC'])
    await refused([{ externalId: 'x', timeZone }], 400, { code: 'BAD_TIME_ZONE' })
  await refused([{ externalId: 'x', locale: 'x' }], 400, { code: 'VALIDATION_FAILED' })
  await refused([{ externalId: 'x', displayName: 'see www.example.org' }], 400, {
    errors: [{ pointer: '/users/1/displayName' }],
  })
  await refused([{ externalId: 'none' }], 400, { errors: [{ pointer: '/users/1/externalId' }] })
  await refused([{ externalId: 'x', avatarUrl: 'javascript:alert(1)' }], 400, { code: 'VALIDATION_FAILED' })
  await refused([{ externalId: 'x', password: 'secret' }], 400, { code: 'VALIDATION_FAILED' })
  t.match(await write([]), { status: 400 })
  t.match(await write([...users, { externalId: 'x' }]), { status: 400 })
  t.equal(await count(), 1002, 'nobody was made by a refused call')
  t.match(await ask('GET', '/users/external/none'), { status: 404 })

  const race = await Promise.all(
    Array.from({ length: 8 }, () => ask('PUT', '/users/external/racer', { displayName: 'R' })),
  )
  t.same(race.map(({ status }) => status).sort(), [200, 200, 200, 200, 200, 200, 200, 201])
})

test('an external id works wherever a user id does', async (t) => {
  const system = await withService(t, { worker: true })
  const { ask, put, as, pool } = system
  const { id } = (await put('ext/ana', { username: 'ana_x', avatarUrl: 'https://cdn.example.org/a.png' })).body
  const ben = await as('ben')
  await put('ext-cem', { displayName: 'Cem' })
  const base = '/users/external/ext%2Fana'

  t.same((await ben.request('POST', `${base}/follow`)).body, { following: true })
  t.same((await ben.request('PUT', `${base}/bell`, { enabled: true })).body, { bell: true })
  t.match(await ben.get(base), { id, viewer: { following: true, bell: true } })
  t.match((await ben.get(`${base}/followers?limit=1`)).items, [{ id: ben.id }])
  t.equal((await ben.request('PUT', `${base}/mute`, { seconds: 60 })).status, 204)
  t.equal((await ben.request('DELETE', `${base}/mute`)).status, 204)
  t.same((await ben.get('/posts?scope=user&externalId=ext%2Fana')).items, [])
  t.match(await ben.request('GET', '/posts?scope=user&externalId=nobody'), { status: 404 })
  t.match(await ben.request('GET', `/posts?scope=user&externalId=ext%2Fana&userId=${id}`), { status: 400 })
  t.match(await ben.request('PATCH', base, { bio: 'Mine' }), { status: 403, body: { code: 'NOT_YOURSELF' } })
  t.match(await ben.request('POST', '/users/external/nobody/follow'), { status: 404, body: { code: 'USER_NOT_FOUND' } })
  t.match(await call(system.url, 'POST', `${base}/follow`), { status: 401 })
  t.match(await ask('POST', `${base}/follow`), { status: 401 }, 'services act for nobody')

  const words = { title: 'Hello', message: 'It is you' }
  const send = (body: object) => ask('POST', '/notifications/send', body)
  const one = await ask('POST', '/notifications/send', { externalId: 'ext/ana', actorExternalId: 'ext-cem', ...words })
  t.match(one, { status: 202, body: { total: 1, accepted: 1, duplicates: 0 } })
  const many = await ask('POST', '/notifications/send/batch', {
    recipientIds: [id, ben.id],
    externalIds: ['ext/ana', 'nobody', 'nobody'],
    actorExternalId: 'ext/ana',
    sourceId: 'many',
    ...words,
  })
  t.match(many, { status: 202, body: { total: 3, accepted: 2, duplicates: 0 } }, 'each once, unknown ones too')
  await settled(system)
  t.match((await ask('GET', `/notifications/sends/${many.body.sendId}`)).body, { total: 3, stored: 1, filtered: 1 })
  const [notification] = (await ben.get('/notifications')).items
  t.match(notification, {
    title: 'Hello',
    actors: [{ id, username: 'ana_x', avatarUrl: 'https://cdn.example.org/a.png' }],
  })
  t.match(await send({ externalId: 'nobody', ...words }), { status: 404, body: { code: 'USER_NOT_FOUND' } })
  for (const wrong of [
    words,
    { ...words, recipientId: id, externalId: 'ext/ana' },
    { ...words, recipientId: id, actorExternalId: 'nobody' },
    { ...words, recipientId: id, actorId: id, actorExternalId: 'ext-cem' },
  ])
    t.match(await send(wrong), { status: 400, body: { code: 'VALIDATION_FAILED' } }, JSON.stringify(wrong))
  for (const wrong of [
    words,
    { ...words, externalIds: Array.from({ length: 9999 }, (_, n) => `${n}`), recipientIds: ['1', '2'] },
  ])
    t.match(await ask('POST', '/notifications/send/batch', wrong), { status: 400 })

  await pool.query(`select notify.emit('system', notify.users_of('{ext/ana,ext-cem}'), 's', 'By SQL')`)
  await settled(system)
  const { rows } = await pool.query(`select user_id from notify.notifications where title = 'By SQL'`)
  t.equal(rows.length, 2)
  await ask('DELETE', base)
  await settled(system)
  await noDrift(t, system)
})

test('only services with users:write and admins write external users', async (t) => {
  const system = await withService(t, {}, ['notifications:send'])
  const { ask, put, as, pool } = system
  const writes = (client: Pick<TestClient, 'request'>) =>
    Promise.all([
      client.request('PUT', '/users/external/x', {}),
      client.request('PUT', '/users/external', { users: [{ externalId: 'x' }] }),
      client.request('DELETE', '/users/external/x'),
    ])
  const ana = await as('ana')
  for (const { status, body } of [await put('x'), await ask('GET', '/users/external/x'), ...(await writes(ana))])
    t.match({ status, body }, { status: 403, body: { code: 'FORBIDDEN' } })
  const rita = await as('rita')
  await grantAdmin(pool, 'rita')
  const admin = await call(system.url, 'POST', '/auth/signin', { login: 'rita', password: 'correct horse battery' })
  const asAdmin = (method: string, path: string, body?: unknown) =>
    call(system.url, method, path, body, { authorization: `Bearer ${admin.body.accessToken}` })
  t.match(await asAdmin('PUT', '/users/external/x', {}), { status: 201 })
  t.match(await asAdmin('DELETE', '/users/external/x'), { status: 204 })
  t.match(await rita.request('GET', '/users/external/x'), { status: 404 })
})
