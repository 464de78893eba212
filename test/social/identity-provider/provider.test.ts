import { createHmac } from 'node:crypto'
import { exportSPKI, type JWTVerifyGetKey, jwtVerify } from 'jose'
import { pino } from 'pino'
import { type Test, test } from 'tap'
import { grantAdmin } from '../../../src/social/accounts/admin.ts'
import { createKeys, KeysUnavailable, limits } from '../../../src/social/identity-provider/keys.ts'
import { call } from '../../client.ts'
import { TestSocket } from '../../push/socket.ts'
import { eventually, setup, startSystem, type TestSystem } from '../../setup.ts'
import { AUDIENCE, newKey, startIssuer } from './issuer.ts'

const second = () => Math.floor(Date.now() / 1000)

const as = (url: string, token: string) => (method: string, path: string, body?: unknown) =>
  call(url, method, path, body, { authorization: `Bearer ${token}` })

async function hello(t: Test, { url }: TestSystem, token: string): Promise<TestSocket> {
  const socket = await TestSocket.open(t, `${url.replace('http', 'ws')}/ws`)
  socket.send({ type: 'hello', token })
  return socket
}

test('a user of the identity provider is created on first use, over REST and on the socket', async (t) => {
  const issuer = await startIssuer(t, [await newKey('r'), await newKey('e', 'ES256'), await newKey('d', 'EdDSA')])
  const system = await setup(t, { env: issuer.env, push: true })
  const { url, pool } = system
  const profile = {
    preferred_username: 'Ana.Lima',
    name: 'Ana Lima',
    email: 'ana@example.org',
    email_verified: true,
    picture: 'https://cdn.example.org/ana.png',
    locale: 'pt_BR',
    zoneinfo: 'Europe/Lisbon',
  }
  const ana = as(url, await issuer.token('auth0|ana', profile))
  const answers = await Promise.all(Array.from({ length: 8 }, () => ana('GET', '/auth/me')))
  const [me] = answers.map(({ body }) => body)
  t.match(me, {
    username: 'ana_lima',
    displayName: 'Ana Lima',
    email: 'ana@example.org',
    emailVerified: true,
    avatarUrl: profile.picture,
    locale: 'pt-BR',
    timeZone: 'Europe/Lisbon',
    role: 'user',
  })
  t.same(new Set(answers.map(({ status, body }) => `${status} ${body.id}`)), new Set([`200 ${me.id}`]), 'once')
  t.equal(issuer.requests, 1, 'the keys are read once')
  for (const key of issuer.keys) {
    const again = await as(url, await issuer.token('auth0|ana', {}, {}, key))('GET', '/auth/me')
    t.match(again.body, { id: me.id, displayName: 'Ana Lima' }, key.alg)
  }
  t.match((await ana('GET', '/auth/sessions')).body.items, [{ current: true }], 'one session for all of them')
  t.match((await ana('GET', '/notifications')).body, { items: [], unreadCount: 0 })

  const socket = await hello(t, system, await issuer.token('socket-only'))
  const { userId } = await socket.next('welcome')
  const { rows } = await pool.query('select external_id, username from social.users where id = $1', [userId])
  t.match(rows, [{ external_id: 'socket-only', username: /^user_[a-z0-9]{12}$/ }], 'the socket makes users too')

  const odd = {
    preferred_username: 'x@example.org',
    name: 'see www.example.org',
    email: 'no address',
    picture: 'file:///x',
  }
  t.match((await as(url, await issuer.token('odd', odd))('GET', '/auth/me')).body, { email: null, username: /^user_/ })
  const dora = { preferred_username: 'dora', email: 'dora@example.org', email_verified: true, picture: profile.picture }
  const refused = { zoneinfo: 'UTC+2', locale: 'en_US.UTF-8', name: 'see www.example.org' }
  t.match((await as(url, await issuer.token('dora', { ...dora, ...refused }))('GET', '/auth/me')).body, {
    username: 'dora',
    displayName: 'dora',
    email: 'dora@example.org',
    emailVerified: true,
    avatarUrl: profile.picture,
    timeZone: null,
  })
  const taken = { preferred_username: 'ana_lima', email: 'ANA@example.org', email_verified: true, name: 'Other' }
  t.match((await as(url, await issuer.token('other', taken))('GET', '/auth/me')).body, {
    email: null,
    username: /^user_/,
    displayName: 'Other',
  })
  const ben = await system.as('ben')
  t.match(await ben.get('/auth/me'), { username: 'ben' }, 'our own tokens go on')
  t.match(await ben.request('POST', '/users/external/auth0%7Cana/follow'), { status: 200 })
  const follow = await eventually(async () => (await pool.query('select from social.follows')).rowCount)
  t.equal(follow, 1)
  t.match(await ana('DELETE', `/users/${me.id}`), { status: 204 }, 'without a password, since there is none')
})

test('a token of another provider, audience or type is refused with a reason', async (t) => {
  const issuer = await startIssuer(t, [await newKey('r'), await newKey('e', 'ES256')])
  const { url } = await setup(t, { env: issuer.env })
  const [key] = issuer.keys
  const other = await newKey('r')
  const part = (json: object) => Buffer.from(JSON.stringify(json)).toString('base64url')
  const claims = { iss: issuer.issuer, aud: AUDIENCE, sub: 'a', iat: second(), exp: second() + 60 }
  const byHand = (header: object, sign: (input: string) => string) => {
    const input = `${part(header)}.${part(claims)}`
    return `${input}.${sign(input)}`
  }
  const pem = key ? await exportSPKI(key.publicKey) : ''
  const wrong: [string, string, RegExp][] = [
    ['another audience', await issuer.token('a', { aud: 'https://elsewhere.example.org' }), /aud/],
    ['no audience', await issuer.token('a', { aud: undefined }), /aud/],
    ['another issuer', await issuer.token('a', { iss: 'https://elsewhere.example.org' }), /iss/],
    ['expired', await issuer.token('a', { exp: second() - 31 }), /exp/],
    ['never expires', await issuer.token('a', { exp: undefined }), /exp/],
    ['issued at no time', await issuer.token('a', { iat: undefined }), /iat/],
    ['issued in the future', await issuer.token('a', { iat: second() + 600 }), /future/],
    ['not valid yet', await issuer.token('a', { nbf: second() + 600 }), /nbf/],
    ['no subject', await issuer.token('a', { sub: undefined }), /sub/],
    ['a subject that is too long', await issuer.token('a'.repeat(256)), /sub/],
    ['an ID token by its type', await issuer.token('a', {}, { typ: 'id+jwt' }), /id\+jwt/],
    ['a logout token', await issuer.token('a', {}, { typ: 'logout+jwt' }), /logout/],
    ['another key of the same name', await issuer.token('a', {}, {}, other), /signature/],
    ['an unknown key', await issuer.token('a', {}, { kid: 'none' }), /no such key/],
    [
      'another algorithm of the same key',
      await issuer.token('a', {}, { alg: 'PS256' }).catch(() => byHand({ alg: 'PS256', kid: 'r' }, () => 'x')),
      /alg/,
    ],
    ['no algorithm', byHand({ alg: 'none' }, () => 'x'), /alg|valid/],
    [
      'the public key as a secret',
      byHand({ alg: 'HS256', kid: 'r' }, (input) => createHmac('sha256', pem).update(input).digest('base64url')),
      /alg/,
    ],
    ['a critical extension', byHand({ alg: 'RS256', kid: 'r', crit: ['x'], x: 1 }, () => 'x'), /x|signature/],
    [
      'changed claims',
      (await issuer.token('a')).replace(/\.[^.]+\./, `.${part({ ...claims, sub: 'b' })}.`),
      /signature/,
    ],
    [
      'our own form, signed by them',
      await issuer.token('1', { iss: 'ravenpost', aud: 'ravenpost', sid: '1', role: 'admin' }),
      /iss|aud/,
    ],
  ]
  for (const [what, token, why] of wrong)
    t.match(
      await as(url, token)('GET', '/auth/me'),
      { status: 401, body: { code: 'UNAUTHENTICATED', detail: why } },
      what,
    )
  for (const claims of [
    { exp: second() - 5 },
    { iat: second() + 20 },
    { nbf: second() + 20 },
    { aud: ['x', AUDIENCE] },
  ])
    t.match(await as(url, await issuer.token('a', claims))('GET', '/auth/me'), { status: 200 }, JSON.stringify(claims))
  for (const typ of ['JWT', 'application/at+jwt', undefined])
    t.match(await as(url, await issuer.token('a', {}, { typ }))('GET', '/auth/me'), { status: 200 }, String(typ))
})

test('AUTH_PUBLIC_KEY verifies without a key set and pins its algorithm', async (t) => {
  const issuer = await startIssuer(t, [await newKey('e', 'ES256'), await newKey('r')])
  const [ec, rsa] = issuer.keys
  const { AUTH_JWKS_URL: _, ...env } = issuer.env
  const pem = ec ? (await exportSPKI(ec.publicKey)).replaceAll('\n', '\\n') : ''
  const { url } = await setup(t, { env: { ...env, AUTH_PUBLIC_KEY: pem } })
  t.match(await as(url, await issuer.token('a', {}, { kid: undefined }))('GET', '/auth/me'), { status: 200 })
  t.match(await as(url, await issuer.token('a', {}, {}, rsa))('GET', '/auth/me'), { status: 401 })
  t.equal(issuer.requests, 0)
})

const fast = { ...limits, coolDownMs: 0, retryAfterMs: 100, refreshAfterMs: 0 }
const noLog = pino({ level: 'silent' })

async function verifies(keys: JWTVerifyGetKey, token: string): Promise<string> {
  return jwtVerify(token, keys).then(
    () => 'yes',
    (error) => (error instanceof KeysUnavailable ? 'unavailable' : error.code),
  )
}

test('after a key rotation a new key is found and a removed key ends', async (t) => {
  const issuer = await startIssuer(t)
  const keys = createKeys(issuer.url, noLog, fast)
  const former = await issuer.token('a')
  t.equal(await verifies(keys, former), 'yes')
  issuer.keys = [await newKey('second')]
  t.equal(await verifies(keys, await issuer.token('a')), 'yes', 'read again for a key that is not known')
  t.equal(await verifies(keys, former), 'ERR_JWKS_NO_MATCHING_KEY')
  issuer.keys = [await newKey('third')]
  const third = await issuer.token('a')
  issuer.keys = [...issuer.keys, await newKey('fourth')]
  t.equal(await verifies(keys, third), 'yes')

  const patient = createKeys(issuer.url, noLog, { ...limits, coolDownMs: 600_000 })
  t.equal(await verifies(patient, third), 'yes')
  issuer.keys = [await newKey('fifth')]
  t.equal(await verifies(patient, await issuer.token('a')), 'yes', 'also right after the last read')
  t.equal(await verifies(patient, third), 'ERR_JWKS_NO_MATCHING_KEY')
  issuer.keys = [await newKey('sixth')]
  t.equal(await verifies(patient, await issuer.token('a')), 'ERR_JWKS_NO_MATCHING_KEY', 'not right after a miss')
})

test('while the provider is down, known keys work and unknown ones are looked up at intervals', async (t) => {
  const issuer = await startIssuer(t)
  const known = await issuer.token('a')
  const unknown = await issuer.token('a', {}, {}, await newKey('second'))
  const cold = createKeys(issuer.url, noLog, { ...fast, retryAfterMs: 60_000 })
  const warm = createKeys(issuer.url, noLog, { ...fast, retryAfterMs: 60_000 })
  t.equal(await verifies(warm, known), 'yes')
  for (const trouble of [503, 302, 'hang'] as const) {
    const keys = createKeys(issuer.url, noLog, { ...fast, fetchTimeoutMs: 100 })
    await eventually(async () => (await verifies(keys, known)) === 'yes')
    issuer.trouble = trouble
    t.equal(await verifies(keys, known), 'yes', `${trouble}: a known key`)
    t.equal(await verifies(keys, unknown), 'unavailable', `${trouble}: an unknown key`)
    issuer.trouble = undefined
    await eventually(async () => (await verifies(keys, unknown)) === 'ERR_JWKS_NO_MATCHING_KEY')
  }
  issuer.trouble = 503
  const before = issuer.requests
  for (let n = 0; n < 20; n += 1) t.equal(await verifies(cold, known), 'unavailable')
  for (let n = 0; n < 20; n += 1) t.equal(await verifies(warm, unknown), 'unavailable')
  t.equal(await verifies(warm, known), 'yes')
  t.equal(issuer.requests - before, 2, 'one request each')
  issuer.trouble = undefined
  const calm = createKeys(issuer.url, noLog, { ...fast, coolDownMs: 60_000, refreshAfterMs: 60_000 })
  const start = issuer.requests
  for (let n = 0; n < 20; n += 1) {
    const madeUp = await issuer.token('a', {}, { kid: `made up ${n}` })
    t.equal(await verifies(calm, madeUp), 'ERR_JWKS_NO_MATCHING_KEY')
  }
  t.equal(issuer.requests - start, 2, 'made-up keys do not flood the provider')
})

test('without keys, provider tokens get 503 and 1001, and our own users are not affected', async (t) => {
  const issuer = await startIssuer(t)
  issuer.trouble = 503
  const system = await setup(t, { env: issuer.env, push: true })
  const token = await issuer.token('a')
  const answer = await as(system.url, token)('GET', '/auth/me')
  t.match(answer, { status: 503, body: { code: 'IDENTITY_PROVIDER_UNAVAILABLE' } })
  t.match(Number(answer.headers.get('retry-after')), 5)
  t.equal(await (await hello(t, system, token)).closed(), 1001)
  const ana = await system.as('ana')
  t.match(await ana.get('/auth/me'), { username: 'ana' })
})

test('with AUTH_PROVISION=off only users written before can sign in', async (t) => {
  const issuer = await startIssuer(t)
  const system = await setup(t, { env: { ...issuer.env, AUTH_PROVISION: 'off' }, push: true })
  const token = await issuer.token('ana')
  const ana = as(system.url, token)
  t.match(await ana('GET', '/auth/me'), { status: 403, body: { code: 'USER_NOT_PROVISIONED' } })
  t.equal(await (await hello(t, system, token)).closed(), 4403)
  const rita = await system.as('rita')
  await grantAdmin(system.pool, 'rita')
  const admin = await call(system.url, 'POST', '/auth/signin', { login: 'rita', password: 'correct horse battery' })
  await as(system.url, admin.body.accessToken)('PUT', '/users/external/ana', { username: 'ana' })
  t.match(await ana('GET', '/auth/me'), { status: 200, body: { username: 'ana' } })
  t.match(await ana('GET', '/admin/notification-types'), { status: 403 })
  await grantAdmin(system.pool, 'ana')
  const later = as(system.url, await issuer.token('ana', { sid: 'later' }))
  t.match(await later('GET', '/admin/notification-types'), { status: 200 }, 'roles are those of our own table')
  t.ok(rita.id)
})

test('a deleted user, a revoked session and an expired token end sockets and requests everywhere', async (t) => {
  const issuer = await startIssuer(t)
  const system = await setup(t, { env: issuer.env, push: true })
  const elsewhere = await startSystem(t, system.databaseUrl, { env: issuer.env })
  const old = { iat: second() - 10 }
  const phone = await issuer.token('ana', { sid: 'phone', ...old })
  const laptop = await issuer.token('ana', { sid: 'laptop', ...old })
  const onPhone = as(system.url, phone)
  const me = (await onPhone('GET', '/auth/me')).body
  const sockets = [await hello(t, system, phone), await hello(t, system, laptop)] as const
  for (const socket of sockets) t.match(await socket.next('welcome'), { userId: me.id })
  t.match(await as(elsewhere.url, phone)('GET', '/auth/me'), { status: 200, body: { id: me.id } })

  const sessions = (await onPhone('GET', '/auth/sessions')).body.items
  t.equal(sessions.length, 2)
  const { id } = sessions.find(({ current }: { current: boolean }) => current)
  t.equal((await as(system.url, laptop)('DELETE', `/auth/sessions/${id}`)).status, 204)
  t.equal(await sockets[0].closed(), 4403)
  t.match(await onPhone('GET', '/auth/me'), { status: 401 })
  await eventually(async () => (await as(elsewhere.url, phone)('GET', '/auth/me')).status === 401)
  t.match(await as(system.url, await issuer.token('ana', { sid: 'phone', iat: second() - 5 }))('GET', '/auth/me'), {
    status: 401,
    body: { code: 'SESSION_ENDED' },
  })
  const renewed = await issuer.token('ana', { sid: 'phone', iat: second() + 2 })
  t.match(await as(system.url, renewed)('GET', '/auth/me'), { status: 200 }, 'a later sign-in comes in')

  const brief = await hello(t, system, await issuer.token('ana'))
  await brief.next('welcome')
  brief.send({ type: 'token', token: await issuer.token('ana', { exp: second() - 27 }) })
  t.equal(await brief.closed(), 4401, 'a token ends with the tolerance for clocks')
  sockets[1].send({ type: 'token', token: await issuer.token('ben') })
  t.equal(await sockets[1].closed(), 4403, "another user's token")

  const last = await hello(t, system, await issuer.token('ana', { sid: 'last', ...old }))
  await last.next('welcome')
  t.equal((await as(system.url, renewed)('DELETE', `/users/${me.id}`)).status, 204)
  t.equal(await last.closed(), 4403)
  t.equal(await (await hello(t, system, laptop)).closed(), 4403, 'its token makes nobody')
  const unseen = await issuer.token('ana', { jti: 'unseen', ...old })
  t.match(await as(system.url, unseen)('GET', '/auth/me'), { status: 401, body: { code: 'SESSION_ENDED' } })
  await eventually(async () => (await as(elsewhere.url, unseen)('GET', '/auth/me')).status === 401)
  const back = await as(system.url, await issuer.token('ana', { iat: second() + 2 }))('GET', '/auth/me')
  t.equal(back.status, 200)
  t.not(back.body.id, me.id, 'a sign-in after the deletion is a new user')
})
