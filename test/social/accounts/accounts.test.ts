import { randomBytes } from 'node:crypto'
import { type Test, test } from 'tap'
import { passwordHashes } from '../../../src/base/metrics.ts'
import { sessionIsLive, signAccessToken, verifyAccessToken } from '../../../src/social/sessions/tokens.ts'
import { type Answer, call, PASSWORD, signIn, type TestClient } from '../../client.ts'
import { settled } from '../../settled.ts'
import { eventually, setup, startSystem } from '../../setup.ts'

const account = (name: string) => ({ username: name, email: `${name}@example.org`, password: PASSWORD })

function isProblem(t: Test, { status, headers, body }: Answer, expected: number, code: string): void {
  t.equal(status, expected)
  t.match(headers.get('content-type'), /^application\/problem\+json/)
  t.match(body, { status: expected, code, title: String, type: String, instance: String })
}

test('sign-up returns tokens, creates an inbox and answers as the contract says', async (t) => {
  const { url, pool } = await setup(t)
  const { status, body, headers } = await call(url, 'POST', '/auth/signup', { ...account('ana'), displayName: 'Ana' })

  t.equal(status, 201)
  t.equal(headers.get('cache-control'), 'no-store')
  t.same(Object.keys(body).sort(), ['accessToken', 'expiresIn', 'refreshToken', 'user'])
  t.equal(body.expiresIn, 900)
  t.match(body.user, {
    id: /^\d+$/,
    username: 'ana',
    displayName: 'Ana',
    bio: '',
    avatarMediaId: null,
    followerCount: 0,
    createdAt: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/,
    viewer: { following: false, followedBy: false, bell: false, blocked: false, muted: false },
  })
  t.notOk('email' in body.user || 'passwordHash' in body.user)
  const { rows } = await pool.query('select user_id, modseq from notify.inbox')
  t.same(rows, [{ user_id: body.user.id, modseq: '0' }])
  const { rows: users } = await pool.query('select password_hash from social.users')
  t.match(users[0].password_hash, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
})

test('a taken name or address is a conflict, ignoring the case of the address, and writes nothing', async (t) => {
  const { url, pool, as } = await setup(t)
  await as('ana')
  await pool.query('update social.users set email_verified_at = now()')
  isProblem(
    t,
    await call(url, 'POST', '/auth/signup', { ...account('ana'), email: 'b@example.org' }),
    409,
    'USERNAME_TAKEN',
  )
  isProblem(
    t,
    await call(url, 'POST', '/auth/signup', { ...account('ben'), email: 'ANA@example.org' }),
    409,
    'EMAIL_TAKEN',
  )
  isProblem(t, await call(url, 'POST', '/auth/signup', account('deleted_5')), 409, 'USERNAME_TAKEN')
  const { rows } = await pool.query(
    'select (select count(*)::int from social.users) as users, (select count(*)::int from notify.inbox) as inboxes',
  )
  t.same(rows, [{ users: 1, inboxes: 1 }])
})

test('concurrent sign-ups with one name create one account', async (t) => {
  const { url } = await setup(t)
  const answers = await Promise.all(Array.from({ length: 8 }, () => call(url, 'POST', '/auth/signup', account('ana'))))
  t.same(answers.map((answer) => answer.status).sort(), [201, 409, 409, 409, 409, 409, 409, 409])
})

test('users sign in by name and by address', async (t) => {
  const { url, as } = await setup(t)
  const ana = await as('ana')
  for (const login of ['ana', 'ana@example.org', 'Ana@Example.org']) {
    const { status, body } = await call(url, 'POST', '/auth/signin', { login, password: PASSWORD })
    t.equal(status, 200)
    t.equal(body.user.id, ana.id)
  }
  for (const login of ['ana', 'nobody', 'nobody@example.org'])
    isProblem(t, await call(url, 'POST', '/auth/signin', { login, password: 'a wrong one' }), 401, 'BAD_CREDENTIALS')
})

test('every failed sign-in has the same answer and the same cost', async (t) => {
  const { url, as } = await setup(t)
  await as('ana')
  const hashes = async () => (await passwordHashes.get()).values[0]?.value ?? 0
  const answers: unknown[] = []
  for (const login of ['ana', 'nobody', 'nobody@example.org', 'x', "' or true --"]) {
    const before = await hashes()
    const { status, headers, body } = await call(url, 'POST', '/auth/signin', { login, password: 'a wrong one' })
    t.equal(await hashes(), before + 1, login)
    answers.push({ status, body, headers: [...headers.keys()] })
  }
  for (const answer of answers) t.same(answer, answers[0])
})

test('a refresh token used again after its successor ends its session', async (t) => {
  const { url, db, as } = await setup(t)
  const ana = await as('ana')
  const other = await signIn(url, 'ana')

  const first = await call(url, 'POST', '/auth/refresh', { refreshToken: ana.refreshToken })
  t.equal(first.status, 200)
  t.not(first.body.refreshToken, ana.refreshToken)
  const second = await call(url, 'POST', '/auth/refresh', { refreshToken: first.body.refreshToken })
  t.equal(second.status, 200)

  const reused = await call(url, 'POST', '/auth/refresh', { refreshToken: ana.refreshToken })
  isProblem(t, reused, 401, 'REFRESH_TOKEN_REUSED')
  const last = await call(url, 'POST', '/auth/refresh', { refreshToken: second.body.refreshToken })
  isProblem(t, last, 401, 'BAD_REFRESH_TOKEN')
  t.equal(await sessionIsLive(db, ana.sessionId), false)
  t.equal(await sessionIsLive(db, other.sessionId), true, 'other sessions go on')
})

test('unknown and expired refresh tokens are refused', async (t) => {
  const { url, pool, as } = await setup(t)
  const { refreshToken, sessionId } = await as('ana')
  const unknown = randomBytes(32).toString('base64url')
  isProblem(t, await call(url, 'POST', '/auth/refresh', { refreshToken: unknown }), 401, 'BAD_REFRESH_TOKEN')
  isProblem(t, await call(url, 'POST', '/auth/refresh', {}), 401, 'NO_REFRESH_TOKEN')
  await pool.query(`update social.sessions set expires_at = now() - interval '1 second' where id = $1`, [sessionId])
  isProblem(t, await call(url, 'POST', '/auth/refresh', { refreshToken }), 401, 'BAD_REFRESH_TOKEN')
})

test('sign-out ends the session', async (t) => {
  const { url, db, as } = await setup(t)
  const [ana, ben] = [await as('ana'), await as('ben')]
  isProblem(t, await ben.request('POST', '/auth/signout', { refreshToken: ana.refreshToken }), 401, 'BAD_REFRESH_TOKEN')
  t.equal(await sessionIsLive(db, ana.sessionId), true)

  const { status, body } = await ana.request('POST', '/auth/signout', { refreshToken: ana.refreshToken })
  t.equal(status, 204)
  t.equal(body, undefined)
  t.equal(await sessionIsLive(db, ana.sessionId), false)
  const refused = await call(url, 'POST', '/auth/refresh', { refreshToken: ana.refreshToken })
  isProblem(t, refused, 401, 'BAD_REFRESH_TOKEN')
})

test('a browser keeps its refresh token in a cookie that scripts cannot read', async (t) => {
  const { url, as } = await setup(t)
  await as('ana')
  const signedIn = await call(url, 'POST', '/auth/signin?cookie=true', { login: 'ana', password: PASSWORD })
  t.equal(signedIn.status, 200)
  t.notOk('refreshToken' in signedIn.body)
  const set = signedIn.headers.get('set-cookie') ?? ''
  t.match(set, /HttpOnly/)
  t.match(set, /SameSite=Strict/)
  t.match(set, /Path=\/auth(;|$)/)
  t.notMatch(set, /Secure/, 'there is no https here')

  const cookie = set.split(';')[0] ?? ''
  const renewed = await call(url, 'POST', '/auth/refresh', undefined, { cookie })
  t.equal(renewed.status, 200)
  t.notOk('refreshToken' in renewed.body)
  const nextCookie = renewed.headers.get('set-cookie')?.split(';')[0] ?? ''
  t.not(nextCookie, cookie)

  const authorization = `Bearer ${renewed.body.accessToken}`
  const out = await call(url, 'POST', '/auth/signout', undefined, { cookie: nextCookie, authorization })
  t.equal(out.status, 204)
  t.match(out.headers.get('set-cookie'), /^ravenpost_refresh=;/)
  isProblem(t, await call(url, 'POST', '/auth/refresh', '', { cookie: nextCookie }), 401, 'BAD_REFRESH_TOKEN')
})

test('with https the cookie is sent over https only, and no sibling domain can set it', async (t) => {
  const signIn = async (env: Record<string, string>, headers = {}) => {
    const { url, as } = await setup(t, { env })
    await as('ana')
    const login = { login: 'ana', password: PASSWORD }
    const answer = await call(url, 'POST', '/auth/signin?cookie=true', login, headers)
    return { url, set: answer.headers.get('set-cookie') ?? '', hsts: answer.headers.get('strict-transport-security') }
  }
  const secure = /^__Host-ravenpost_refresh=[^;]+; Max-Age=\d+; Path=\/; HttpOnly; Secure; SameSite=Strict$/
  const { url, set } = await signIn({ PUBLIC_URL: 'https://example.org' })
  t.match(set, secure)
  const proxied = { 'x-forwarded-proto': 'https' }
  t.match(await signIn({ TRUSTED_PROXIES: 'loopback' }, proxied), { set: secure, hsts: /^max-age=/ })
  t.match(await signIn({}, proxied), { set: /^ravenpost_refresh=.*(?<!Secure.*)$/, hsts: null }, 'anyone can claim it')

  const [cookie = ''] = set.split(';')
  const planted = cookie.replace('__Host-', '')
  isProblem(t, await call(url, 'POST', '/auth/refresh', undefined, { cookie: planted }), 401, 'NO_REFRESH_TOKEN')
  const renewed = await call(url, 'POST', '/auth/refresh', undefined, { cookie })
  t.equal(renewed.status, 200)
  const authorization = `Bearer ${renewed.body.accessToken}`
  const [next = ''] = renewed.headers.get('set-cookie')?.split(';') ?? []
  const out = await call(url, 'POST', '/auth/signout', undefined, { cookie: next, authorization })
  t.match(out.headers.get('set-cookie'), /^__Host-ravenpost_refresh=;.* Path=\/;.* Secure/, 'a browser takes no other')
})

test('only our own pages and those of allowed origins can use the cookie', async (t) => {
  const env = { ALLOWED_ORIGINS: 'https://app.example.org', PUBLIC_URL: 'https://api.example.org' }
  const { url, as } = await setup(t, { env })
  const ana = await as('ana')
  const authorization = `Bearer ${ana.accessToken}`
  const signedIn = await call(url, 'POST', '/auth/signin?cookie=true', { login: 'ana', password: PASSWORD })
  let [cookie = ''] = signedIn.headers.get('set-cookie')?.split(';') ?? []
  const refused: Record<string, string>[] = [
    { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' },
    { origin: 'https://blog.example.org', 'sec-fetch-site': 'same-site' },
    { origin: 'http://app.example.org' },
    { origin: 'null' },
    { 'sec-fetch-site': 'same-site' },
  ]
  for (const headers of refused)
    for (const path of ['/auth/refresh', '/auth/signout']) {
      const answer = await call(url, 'POST', path, undefined, { cookie, authorization, ...headers })
      isProblem(t, answer, 403, 'ORIGIN_NOT_ALLOWED')
    }
  const taken: Record<string, string>[] = [
    { origin: 'https://app.example.org', 'sec-fetch-site': 'same-site' },
    { origin: 'https://api.example.org' },
    { origin: url.replace('http:', 'https:') },
    { origin: 'null', 'sec-fetch-site': 'same-origin' },
    {},
  ]
  for (const headers of taken) {
    const answer = await call(url, 'POST', '/auth/refresh', undefined, { cookie, ...headers })
    t.equal(answer.status, 200, JSON.stringify(headers))
    cookie = answer.headers.get('set-cookie')?.split(';')[0] ?? ''
  }
  const { refreshToken } = ana
  const inBody = await call(url, 'POST', '/auth/refresh', { refreshToken }, { origin: 'https://evil.example' })
  t.equal(inBody.status, 200, 'a token in the body is not sent by browsers on their own')
})

test('GET /auth/me shows private properties that others do not see', async (t) => {
  const { as } = await setup(t)
  const ana = await as('ana')
  const own = { email: 'ana@example.org', emailVerified: false, pendingEmail: null, role: 'user' }
  t.match(await ana.get('/auth/me'), { id: ana.id, username: 'ana', ...own, locale: null, timeZone: null })
})

test('sessions are listed in pages and ended one by one', async (t) => {
  const { url, db, as } = await setup(t)
  const [ana, ben] = [await as('ana'), await as('ben')]
  const second = await signIn(url, 'ana')
  const third = await signIn(url, 'ana')

  const page = await ana.get('/auth/sessions?limit=2')
  t.match(page.items, [{ id: third.sessionId, current: false }, { id: second.sessionId }])
  const rest = await ana.get(`/auth/sessions?limit=2&cursor=${page.nextCursor}`)
  t.match(rest, { items: [{ id: ana.sessionId, current: true, userAgent: String }], nextCursor: null })

  const path = `/auth/sessions/${second.sessionId}`
  isProblem(t, await ben.request('DELETE', path), 404, 'SESSION_NOT_FOUND')
  t.equal((await ana.request('DELETE', path)).status, 204)
  isProblem(t, await ana.request('DELETE', path), 404, 'SESSION_NOT_FOUND')
  t.equal(await sessionIsLive(db, second.sessionId), false)
  t.equal((await ana.get('/auth/sessions')).items.length, 2)
})

test('only our own unexpired tokens are accepted', async (t) => {
  const { config, as } = await setup(t)
  const ana = await as('ana')
  const claims = { userId: ana.id, sessionId: ana.sessionId, role: 'user' as const }
  const [header, payload, signature] = ana.accessToken.split('.')
  const none = `${Buffer.from('{"alg":"none","typ":"JWT"}').toString('base64url')}.${payload}.`
  const wrong = [
    'nonsense',
    none,
    `${header}.${payload}.${signature?.startsWith('A') ? 'B' : 'A'}${signature?.slice(1)}`,
    signAccessToken({ ...config, jwtSecret: 'another secret, of 32 bytes or more too' }, claims),
    signAccessToken({ ...config, accessTokenTtl: -1 }, claims),
  ]
  for (const token of wrong) {
    t.equal(verifyAccessToken(config, token), null)
    const answer = await ana.request('GET', '/auth/me', undefined, { authorization: `Bearer ${token}` })
    isProblem(t, answer, 401, 'UNAUTHENTICATED')
    t.equal(answer.headers.get('www-authenticate'), 'Bearer')
  }
  isProblem(t, await ana.request('GET', '/auth/me', undefined, { authorization: '' }), 401, 'UNAUTHENTICATED')
  t.match(verifyAccessToken(config, ana.accessToken), claims)
})

test('the access token of an ended session is refused, however it ended', async (t) => {
  const { url, pool, as } = await setup(t)
  const status = async ({ request }: TestClient) => (await request('GET', '/auth/me')).status
  const ana = await as('ana')
  const sessions: TestClient[] = [ana]
  for (let n = 0; n < 3; n++) sessions.push(await signIn(url, 'ana'))
  const [, signedOut, revoked, reused] = sessions
  if (!signedOut || !revoked || !reused) throw new Error('three sessions were started')
  t.same(await Promise.all(sessions.map(status)), [200, 200, 200, 200])

  await signedOut.request('POST', '/auth/signout', { refreshToken: signedOut.refreshToken })
  await ana.request('DELETE', `/auth/sessions/${revoked.sessionId}`)
  for (let n = 0; n < 2; n++) {
    await call(url, 'POST', '/auth/refresh', { refreshToken: reused.refreshToken })
    await pool.query(`update social.refresh_tokens set used_at = used_at - interval '1 minute'`)
  }
  t.same(await Promise.all(sessions.map(status)), [200, 401, 401, 401])

  await ana.deleteAccount()
  t.equal(await status(ana), 401)
})

test('another process refuses the token of an ended session within seconds, also one that starts later or gets no wake-ups', async (t) => {
  const env = { WAKE_UPS: 'off' }
  const { url, as, databaseUrl } = await setup(t, { env })
  const ana = await as('ana')
  const second = await signIn(url, 'ana')
  const before = await startSystem(t, databaseUrl, { env })
  const authorization = `Bearer ${ana.accessToken}`
  const statusAt = async (at: string) => (await call(at, 'GET', '/auth/me', undefined, { authorization })).status
  t.equal(await statusAt(before.url), 200)
  await second.request('DELETE', `/auth/sessions/${ana.sessionId}`)
  const after = await startSystem(t, databaseUrl, { env })
  for (const { url } of [before, after]) await eventually(async () => (await statusAt(url)) === 401)
  t.match(await second.get('/auth/me'), { id: ana.id })
})

test('a signed-out token stays invalid after ACCESS_TOKEN_TTL is lowered, also in a process that knew it', async (t) => {
  const before = await setup(t, { env: { ACCESS_TOKEN_TTL: '86400' } })
  const ana = await before.as('ana')
  t.equal((await ana.request('GET', '/auth/me')).status, 200)
  await ana.request('POST', '/auth/signout', { refreshToken: ana.refreshToken })
  t.equal((await ana.request('GET', '/auth/me')).status, 401)

  await before.pool.query(`update social.sessions set revoked_at = now() - interval '65 seconds'`)
  const after = await startSystem(t, before.databaseUrl, { env: { ACCESS_TOKEN_TTL: '1' } })
  const authorization = `Bearer ${ana.accessToken}`
  t.equal((await call(after.url, 'GET', '/auth/me', undefined, { authorization })).status, 401)
})

test('another process refuses the token of a deleted user, also after the cleanup', async (t) => {
  const env = { WAKE_UPS: 'off' }
  const system = await setup(t, { env, worker: true })
  const other = await startSystem(t, system.databaseUrl, { env })
  const ana = await system.as('ana')
  const authorization = `Bearer ${ana.accessToken}`
  const statusAt = async (at: string) => (await call(at, 'GET', '/users/999', undefined, { authorization })).status
  t.equal(await statusAt(other.url), 404)
  await ana.deleteAccount()
  await settled(system)
  const late = await startSystem(t, system.databaseUrl, { env })
  for (const { url } of [other, late]) await eventually(async () => (await statusAt(url)) === 401)
  const { rows } = await system.pool.query(
    `select user_agent, expires_at < now() + interval '25 hours' as "soonGone" from social.sessions where user_id = $1`,
    [ana.id],
  )
  t.same(rows, [{ user_agent: '', soonGone: true }], 'retention finds the session soon')
})

test('users change their username, language and time zone', async (t) => {
  const { url, as } = await setup(t)
  const [ana, ben] = [await as('ana'), await as('ben')]
  const change = (body: object) => ana.request('PATCH', '/auth/me', body)
  t.match(await change({ locale: 'PT-br', timeZone: 'Europe/Berlin' }), {
    status: 200,
    body: { id: ana.id, username: 'ana', locale: 'pt-BR', timeZone: 'Europe/Berlin' },
  })
  isProblem(t, await change({ locale: 'not a tag' }), 400, 'VALIDATION_FAILED')
  for (const timeZone of ['Europe/Atlantis', 'UTC+2', 'CEST', 'posix/Europe/Berlin'])
    isProblem(t, await change({ timeZone }), 400, 'BAD_TIME_ZONE')
  t.match(await change({ timeZone: 'europe/berlin' }), { status: 200, body: { timeZone: 'Europe/Berlin' } })
  for (const username of ['ben', 'b_en', 'admin', 'deleted_1'])
    isProblem(t, await change({ username, locale: 'de' }), 409, 'USERNAME_TAKEN')
  t.match(await change({}), { status: 200, body: { username: 'ana', locale: 'pt-BR' } }, 'refused is refused whole')
  t.match(await change({ username: 'an_a' }), { status: 200, body: { username: 'an_a' } }, 'it looks like the own one')
  t.match(await change({ username: 'rosa', locale: null }), {
    status: 200,
    body: { username: 'rosa', locale: null, timeZone: 'Europe/Berlin' },
  })
  isProblem(
    t,
    await call(url, 'POST', '/auth/signup', { ...account('ana'), email: 'c@example.org' }),
    409,
    'USERNAME_TAKEN',
  )
  t.equal((await call(url, 'POST', '/auth/signin', { login: 'rosa', password: PASSWORD })).status, 200)
  t.match(await ben.get(`/users/${ana.id}`), { username: 'rosa' })
})

test('a day has five new usernames; refused ones and the current one do not count', async (t) => {
  const { as } = await setup(t, { env: { RATE_LIMIT_SCALE: '1' } })
  const [ana] = [await as('ana'), await as('ben')]
  const change = async (username: string) => (await ana.request('PATCH', '/auth/me', { username })).status
  const answers = async (...names: string[]) => {
    const statuses: number[] = []
    for (const name of names) statuses.push(await change(name))
    return statuses
  }
  t.same(await answers(...Array(6).fill('ben')), Array(6).fill(409))
  t.same(await answers(...Array(6).fill('ana')), Array(6).fill(200))
  t.same(await answers('ann', 'bea', 'cleo', 'dora', 'emma', 'fay'), [...Array(5).fill(200), 429])
})

test('sign-out removes the cookie with the attributes of the cookie, also on a page elsewhere', async (t) => {
  const { url, as } = await setup(t, { env: { COOKIE_SAME_SITE: 'none', ALLOWED_ORIGINS: 'https://app.example' } })
  const ana = await as('ana')
  const signedIn = await call(url, 'POST', '/auth/signin?cookie=true', { login: 'ana', password: PASSWORD })
  const set = signedIn.headers.get('set-cookie') ?? ''
  const attributes = 'Path=/; HttpOnly; Secure; SameSite=None'
  t.ok(set.endsWith(attributes), set)
  const cookie = set.split(';')[0] ?? ''
  const headers = { cookie, origin: 'https://app.example', authorization: `Bearer ${ana.accessToken}` }
  const removed = (await call(url, 'POST', '/auth/signout', undefined, headers)).headers.get('set-cookie') ?? ''
  t.match(removed, /^__Host-ravenpost_refresh=;.*Expires=Thu, 01 Jan 1970/)
  for (const attribute of attributes.split('; ')) t.ok(removed.split('; ').includes(attribute), attribute)
})
