import { pino } from 'pino'
import { test } from 'tap'
import { networkOf } from '../../src/http/rate-limits.ts'
import { grantAdmin } from '../../src/social/accounts/admin.ts'
import { newServiceToken } from '../../src/social/service-tokens/tokens.ts'
import { purge } from '../../src/worker/retention.ts'
import { call, PASSWORD, signIn } from '../client.ts'
import { setup, startSystem } from '../setup.ts'

/** A twentieth of the limits: 30 requests of a user, 3 of an address, 1 sign-in, 6 of an admin. */
const few = { env: { RATE_LIMIT_SCALE: '0.05' } }
const bad = { login: 'nobody', password: PASSWORD }

test('every answer shows the remaining requests, and a refused one when to retry', async (t) => {
  const { url } = await setup(t, { env: { RATE_LIMIT_SCALE: '0.05', ALLOWED_ORIGINS: 'https://app.example.org' } })
  for (const [left, status] of [
    [2, 401],
    [1, 401],
    [0, 401],
    [0, 429],
  ] as const) {
    const { headers, ...answer } = await call(url, 'GET', '/auth/me', undefined, { origin: 'https://app.example.org' })
    t.equal(answer.status, status)
    t.equal(headers.get('ratelimit-policy'), '"address";q=3;w=60')
    t.match(headers.get('ratelimit'), new RegExp(`^"address";r=${left};t=([1-9]|[1-5][0-9]|60)$`))
    t.match(headers.get('access-control-expose-headers'), /retry-after, ratelimit, ratelimit-policy/)
    t.equal(headers.get('access-control-allow-origin'), 'https://app.example.org')
    if (status !== 429) continue
    t.match(answer.body, { code: 'RATE_LIMITED', status: 429 })
    t.equal(headers.get('retry-after'), headers.get('ratelimit')?.split('t=')[1])
  }
  t.equal((await call(url, 'GET', '/nowhere')).status, 429, 'unknown routes count too')
  for (let probe = 0; probe < 10; probe++) t.equal((await call(url, 'GET', '/healthz')).status, 200)
})

test('a user has a separate budget from the address; an invalid token does not get it', async (t) => {
  const { as, url } = await setup(t, few)
  const ana = await as('ana')
  for (let i = 0; i < 5; i++)
    t.equal((await call(url, 'GET', '/auth/me', undefined, { authorization: `Bearer ${i}` })).status, i < 3 ? 401 : 429)
  for (let i = 0; i < 31; i++) t.equal((await ana.request('GET', '/auth/me')).status, i < 30 ? 200 : 429)
})

test('an address over budget gets no lookups of invalid service tokens, but valid ones still work', async (t) => {
  const { pool, url } = await setup(t, few)
  const { token, hash } = newServiceToken()
  await pool.query(
    `insert into social.service_tokens (name, token_hash, scopes) values ('shop', $1, '{notifications:send}')`,
    [hash],
  )
  const status = async (by: string) =>
    (await call(url, 'GET', '/notifications/sends/1', undefined, { authorization: `Bearer ${by}` })).status
  t.equal(await status(token), 404)
  for (let i = 0; i < 3; i++) t.equal(await status(newServiceToken().token), 401)
  const client = await pool.connect()
  await client.query('begin; lock table social.service_tokens in access exclusive mode')
  t.equal(await status(newServiceToken().token), 429, 'although nobody can look it up')
  await client.query('rollback')
  client.release()
  t.equal(await status(token), 404)
})

test('sign-ins, sign-ups and admin calls are counted across all processes', async (t) => {
  const one = await setup(t, { env: { RATE_LIMIT_SCALE: '0.2' } })
  const other = await startSystem(t, one.databaseUrl, { env: { RATE_LIMIT_SCALE: '0.2' } })
  const status = async (url: string, path: string, body: object) => (await call(url, 'POST', path, body)).status
  t.equal(await status(one.url, '/auth/signin', bad), 401)
  t.equal(await status(other.url, '/auth/signin', bad), 401)
  t.equal(await status(one.url, '/auth/signin', bad), 429)
  t.equal(await status(other.url, '/auth/signin', bad), 429)

  const root = await other.as('rita')
  await one.as('ana')
  const refused = { username: 'ben', email: 'ben@example.org', password: PASSWORD }
  t.equal(await status(one.url, '/auth/signup', refused), 429)

  await grantAdmin(one.pool, 'rita')
  await one.pool.query(`delete from social.rate_limits where key like 'sign-in:%'`)
  const third = await startSystem(t, one.databaseUrl, { env: { RATE_LIMIT_SCALE: '0.2' } })
  const admin = await signIn(third.url, root.username)
  const token = { authorization: `Bearer ${admin.accessToken}` }
  for (let i = 0; i < 25; i++) {
    const { status } = await call(i % 2 ? one.url : other.url, 'GET', '/admin/dead-letters', undefined, token)
    t.equal(status, i < 24 ? 200 : 429)
  }
})

test('refused and ordinary requests write nothing, and expired counts are removed', async (t) => {
  const system = await setup(t, few)
  const { url, pool, app, as } = system
  const counted = async () => (await pool.query('select sum(points)::int as sum from social.rate_limits')).rows[0]?.sum
  const ana = await as('ana')
  for (let i = 0; i < 5; i++) await call(url, 'POST', '/auth/signin', bad)
  t.equal(
    await counted(),
    5,
    'a sign-up, a sign-in, the name it was for, its account, and the refused one that was remembered',
  )
  await ana.request('GET', '/auth/me')
  t.equal(await counted(), 5)

  await purge(app)
  t.equal(await counted(), 5, 'a count that goes on stays')
  await pool.query('update social.rate_limits set expire = expire - 3600000')
  await purge(app)
  t.equal(await counted(), null)
})

test("only trusted proxies can set the client's address", async (t) => {
  const from = (url: string, address: string) =>
    call(url, 'POST', '/auth/signin', bad, { 'x-forwarded-for': address }).then(({ status }) => status)
  const warnings: string[] = []
  const log = pino({ level: 'warn' }, { write: (line: string) => void warnings.push(JSON.parse(line).msg) })
  const open = await setup(t, { ...few, log })
  t.equal(await from(open.url, '192.0.2.1'), 401)
  t.equal(await from(open.url, '192.0.2.2'), 429, 'what a client claims changes nothing')
  const noticed = () => warnings.filter((warning) => warning.includes('TRUSTED_PROXIES')).length
  t.equal(noticed(), 1, 'and is said once')

  const proxied = await setup(t, { env: { ...few.env, TRUSTED_PROXIES: 'loopback' }, log })
  t.equal(await from(proxied.url, '192.0.2.1'), 401)
  t.equal(await from(proxied.url, '192.0.2.2'), 401)
  t.equal(await from(proxied.url, '192.0.2.1'), 429)
  t.equal(await from(proxied.url, '192.0.2.9, 192.0.2.1'), 429, 'what the client put before is not believed')
  t.equal(noticed(), 1)
})

test('an IPv6 address is counted by its /64 network', async (t) => {
  t.equal(networkOf('2001:db8:1:2:3:4:5:6'), '2001:db8:1:2::/64')
  t.equal(networkOf('2001:db8:1:2::9'), '2001:db8:1:2::/64')
  t.equal(networkOf('2001:db8::9'), '2001:db8:0:0::/64')
  t.equal(networkOf('fe80::1%eth0'), 'fe80:0:0:0::/64')
  t.equal(networkOf('::1'), '0:0:0:0::/64')
  t.equal(networkOf('::ffff:192.0.2.1'), '192.0.2.1')
  t.equal(networkOf('192.0.2.1'), '192.0.2.1')
})

test('a clock set back by an hour does not prolong limits', async (t) => {
  const { url } = await setup(t, { env: { RATE_LIMIT_SCALE: '0.05' } })
  const { now } = Date
  t.teardown(() => {
    Date.now = now
  })
  const ask = (path: string) => (path === '/auth/signin' ? call(url, 'POST', path, bad) : call(url, 'GET', path))
  for (const path of ['/auth/signin', '/posts']) {
    Date.now = now
    while ((await ask(path)).status !== 429);
    Date.now = () => now() - 3_600_000
    t.equal((await ask(path)).status, 401, path)
    while ((await ask(path)).status !== 429);
    t.ok(Number((await ask(path)).headers.get('retry-after')) <= 60)
  }
})
