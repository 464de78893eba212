import { once } from 'node:events'
import { connect } from 'node:net'
import { test } from 'tap'
import { createServer } from '../../src/api/server.ts'
import { publicUrlOf } from '../../src/notify/channels/senders.ts'
import { call, PASSWORD } from '../client.ts'
import { TestSocket } from '../push/socket.ts'
import { setup } from '../setup.ts'

test("every answer has a request id, the caller's if it is well-formed", async (t) => {
  const { url } = await setup(t)
  const idOf = async (given: string) =>
    (await call(url, 'GET', '/healthz', undefined, { 'x-request-id': given })).headers.get('x-request-id')
  t.equal(await idOf('trace-1.2:3'), 'trace-1.2:3')
  t.match(await idOf('no spaces, please'), /^[0-9a-f-]{36}$/)
  t.match(await idOf('x'.repeat(200)), /^[0-9a-f-]{36}$/)
  for (const path of ['/nowhere', '/users/1', '/openapi.json', '/docs/', '/users/%zz'])
    t.ok((await call(url, 'GET', path)).headers.get('x-request-id'), path)
})

test('headers forbid browsers to share pages, and enforce https', async (t) => {
  const { url, app } = await setup(t)
  for (const path of ['/healthz', '/nowhere', '/users/1', '/docs/']) {
    const { headers } = await call(url, 'GET', path)
    t.match(headers.get('content-security-policy'), /default-src 'self';.*frame-ancestors 'none'/, path)
    t.equal(headers.get('x-content-type-options'), 'nosniff', path)
    t.equal(headers.get('x-frame-options'), 'DENY', path)
    t.equal(headers.get('strict-transport-security'), null, path)
  }
  // Browsers apply this one to documents only, so the answers of calls go without.
  for (const [path, value] of [
    ['/docs/', 'same-origin'],
    ['/users/1', null],
  ] as const)
    t.equal((await call(url, 'GET', path)).headers.get('cross-origin-opener-policy'), value, path)
  const server = await createServer({ ...app, config: { ...app.config, publicUrl: 'https://example.org' } })
  t.teardown(() => server.close())
  t.match((await server.inject('/healthz')).headers['strict-transport-security'], /^max-age=31536000/)
})

test('unknown routes and malformed paths answer problems with a code', async (t) => {
  const { url } = await setup(t)
  for (const [method, path, status, code] of [
    ['GET', '/nowhere', 404, 'ROUTE_NOT_FOUND'],
    ['PUT', '/auth/signup', 404, 'ROUTE_NOT_FOUND'],
    ['GET', '/users/%zz', 400, 'VALIDATION_FAILED'],
  ] as const) {
    const answer = await call(url, method, path)
    t.equal(answer.status, status)
    t.match(answer.headers.get('content-type'), /^application\/problem\+json/)
    t.match(answer.body, { code, status, instance: path, title: String })
  }
})

test('a request that is not HTTP gets a problem, and its connection is closed', async (t) => {
  const { url } = await setup(t)
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk
  })
  socket.write('this is not HTTP\r\n\r\n')
  await once(socket, 'close')
  t.match(text, /^HTTP\/1\.1 400 .*application\/problem\+json.*x-request-id: .*BAD_HTTP/s)
})

test('absent and empty bodies count as {}, and anything but JSON is refused with a code', async (t) => {
  const { url, as } = await setup(t)
  const ana = await as('ana')
  const json = { 'content-type': 'application/json' }
  const patch = (body: string | undefined, headers = {}) => ana.request('PATCH', `/users/${ana.id}`, body, headers)

  t.equal((await patch(undefined)).status, 200)
  t.equal((await patch('', json)).status, 200)
  t.equal((await patch('{}')).status, 200)
  t.match(await patch('{"bio": "trunc'), { status: 400, body: { code: 'BAD_JSON' } })
  t.match(await patch('{"__proto__": {"admin": true}}'), { status: 400, body: { code: String } })
  t.match(await patch('null'), { status: 400, body: { code: 'VALIDATION_FAILED' } })
  t.match(await patch('[]'), { status: 400, body: { code: 'VALIDATION_FAILED' } })
  t.match(await patch('bio=x', { 'content-type': 'application/x-www-form-urlencoded' }), {
    status: 415,
    body: { code: 'UNSUPPORTED_MEDIA_TYPE' },
  })
  t.match(await patch('{}', { 'content-type': 'text/plain' }), {
    status: 415,
    body: { code: 'UNSUPPORTED_MEDIA_TYPE' },
  })
  t.match(await patch(`"${'x'.repeat(600_000)}"`), { status: 413, body: { code: 'BODY_TOO_LARGE' } })
  t.match(await patch('{"bio": "\\u0000"}'), { status: 400, body: { code: 'VALIDATION_FAILED' } })
  t.match(await call(url, 'POST', '/auth/signup', { login: 1 }), {
    status: 400,
    body: {
      code: 'VALIDATION_FAILED',
      errors: [{ pointer: '/username' }, { pointer: '/email' }, { pointer: '/password' }, { pointer: '/login' }],
    },
  })
})

test('a call that defines no body or query parameters refuses them', async (t) => {
  const { as } = await setup(t)
  const ana = await as('ana')
  t.match(await ana.request('GET', '/auth/me?verbose=1'), {
    status: 400,
    body: { code: 'VALIDATION_FAILED', errors: [{ pointer: '', message: 'This call accepts no query parameters' }] },
  })
  t.match(await ana.request('DELETE', '/auth/sessions/9', { now: true }), {
    status: 400,
    body: { code: 'VALIDATION_FAILED' },
  })
})

test('only allowed origins can read answers, including errors', async (t) => {
  const { url } = await setup(t, { env: { ALLOWED_ORIGINS: 'https://app.example.org,https://other.example.org' } })
  const allowed = (origin: string, method = 'GET', headers = {}) =>
    call(url, method, '/auth/me', undefined, { origin, ...headers }).then((answer) => [
      answer.status,
      answer.headers.get('access-control-allow-origin'),
    ])
  const preflight = { 'access-control-request-method': 'PATCH', 'access-control-request-headers': 'authorization' }
  t.same(await allowed('https://app.example.org'), [401, 'https://app.example.org'])
  const { headers } = await call(url, 'POST', '/auth/refresh', {}, { origin: 'https://app.example.org' })
  t.equal(headers.get('access-control-allow-credentials'), 'true', 'with the cookie of the refresh token')
  t.same(await allowed('https://other.example.org', 'OPTIONS', preflight), [204, 'https://other.example.org'])
  for (const origin of [
    'https://evil.example',
    'https://app.example.org.evil.example',
    'http://app.example.org',
    'null',
  ]) {
    t.not((await allowed(origin))[1], origin)
    t.not((await allowed(origin, 'OPTIONS', preflight))[1], origin)
  }
})

test('without ALLOWED_ORIGINS no other origin is allowed', async (t) => {
  const { url } = await setup(t)
  const { headers } = await call(url, 'GET', '/healthz', undefined, { origin: 'https://evil.example' })
  t.notOk(['*', 'https://evil.example'].includes(headers.get('access-control-allow-origin') ?? ''))
})

test('answers do not reveal database errors', async (t) => {
  const { url, pool, as } = await setup(t)
  const ana = await as('ana')
  await pool.query('alter table social.blocks rename to blocks_away')
  const { status, body } = await ana.request('GET', `/users/${ana.id}`)
  t.equal(status, 500)
  t.match(body, { code: 'INTERNAL', title: String })
  t.notMatch(JSON.stringify(body), /blocks|relation|select/)
  await pool.query('alter table social.blocks_away rename to blocks')
  t.equal((await call(url, 'POST', '/auth/signin', { login: 'ana', password: PASSWORD })).status, 200)
})

test('with BASE_PATH every call and the socket work below it, and cookies, documents and links contain it', async (t) => {
  const { app, url, as } = await setup(t, { env: { BASE_PATH: '/api' }, push: true })
  await as('ana')
  const below = `${url}/api`
  t.match(await call(below, 'GET', '/healthz'), { status: 200, body: { alive: true } })
  const login = { login: 'ana', password: PASSWORD }
  const signedIn = await call(below, 'POST', '/auth/signin?cookie=true', login)
  t.match(
    signedIn.headers.get('set-cookie'),
    /^ravenpost_refresh=[^;]+; Max-Age=\d+; Path=\/api\/auth; HttpOnly; SameSite=Strict$/,
  )
  t.match((await call(below, 'GET', '/openapi.json')).body.servers, [{ url: '/api' }])
  t.match((await call(below, 'GET', '/asyncapi.json')).body.servers.ravenpost, { pathname: '/api' })
  t.match(publicUrlOf(app.config), /^http:.*\/api$/, 'links in mails begin with it')
  for (const path of ['/apis/healthz', '/api/api/healthz'])
    t.match(await call(url, 'GET', path, undefined, { authorization: `Bearer ${signedIn.body.accessToken}` }), {
      status: 404,
    })
  for (const path of ['/ws', '/api/ws']) {
    const socket = await TestSocket.open(t, `${url.replace('http', 'ws')}${path}`)
    socket.send({ type: 'hello', token: signedIn.body.accessToken })
    await socket.next('synced')
  }
})

test('a web app on another site gets its refresh cookie with SameSite=None and Secure', async (t) => {
  const { url, as } = await setup(t, {
    env: { COOKIE_SAME_SITE: 'none', BASE_PATH: '/api', ALLOWED_ORIGINS: 'https://app.example.org' },
  })
  await as('ana')
  const signedIn = await call(url, 'POST', '/auth/signin?cookie=true', { login: 'ana', password: PASSWORD })
  const set = signedIn.headers.get('set-cookie') ?? ''
  t.match(set, /^__Secure-ravenpost_refresh=[^;]+; Max-Age=\d+; Path=\/api\/auth; HttpOnly; Secure; SameSite=None$/)
  const [cookie = ''] = set.split(';')
  const site = { 'sec-fetch-site': 'cross-site' }
  const elsewhere = { cookie, origin: 'https://evil.example', ...site }
  t.match(await call(url, 'POST', '/auth/refresh', undefined, elsewhere), {
    status: 403,
    body: { code: 'ORIGIN_NOT_ALLOWED' },
  })
  const own = { cookie, origin: 'https://app.example.org', ...site }
  t.equal((await call(url, 'POST', '/auth/refresh', undefined, own)).status, 200)
})

test('a validation error explains the fault in plain words, with keyword and values', async (t) => {
  const { url, as } = await setup(t)
  const account = { username: 'Ana B', email: 'ana@example.org', password: 'short', age: 7 }
  const { body } = await call(url, 'POST', '/auth/signup', account)
  t.same(body.errors, [
    {
      pointer: '/age',
      message: 'is not a known property',
      keyword: 'additionalProperties',
      params: { additionalProperty: 'age' },
    },
    {
      pointer: '/username',
      message: 'has the wrong format (3 to 30 of a to z, 0 to 9 and _)',
      keyword: 'pattern',
      params: { pattern: '^[a-z0-9_]{3,30}$' },
    },
    { pointer: '/password', message: 'must have at least 8 characters', keyword: 'minLength', params: { limit: 8 } },
  ])
  const { errors } = (await (await as('ben')).request('GET', '/users/search?q=')).body
  t.match(errors, [{ pointer: '/q', keyword: 'minLength' }])
  t.equal(errors.length, 1, 'one fault of a property is enough')
})
