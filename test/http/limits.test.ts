import { once } from 'node:events'
import { type AddressInfo, connect } from 'node:net'
import { fastify } from 'fastify'
import type { Pool } from 'pg'
import { test } from 'tap'
import { createServer } from '../../src/api/server.ts'
import { deferFrequentWrites } from '../../src/http/deferrable.ts'
import { answerProblems } from '../../src/http/problem.ts'
import { grantAdmin } from '../../src/social/accounts/admin.ts'
import { signIn } from '../client.ts'
import { cloneDatabase, eventually, setup, startSystem } from '../setup.ts'

test('likes beyond the queue get 503 with Retry-After, queued ones succeed once the row is free', async (t) => {
  const { as, pool } = await setup(t, { env: { WRITE_QUEUE_SIZE: '1' } })
  const [ana, ben] = [await as('ana'), await as('ben')]
  const post = await ana.post('Hello')
  const holder = await pool.connect()
  await holder.query('begin')
  await holder.query('select from social.posts where id = $1 for update', [post.id])

  const taken = ana.like(post.id)
  await tried(pool)
  const refused = await ben.request('POST', `/posts/${post.id}/like`)
  t.match(refused, { status: 503, body: { code: 'BUSY' } })
  t.equal(refused.headers.get('retry-after'), '1')
  await holder.query('commit')
  holder.release()
  await taken
  t.match(await ben.like(post.id), { liked: true })
})

test('frequent writes wait for other requests, in order of arrival, and are refused when too many wait', async (t) => {
  const server = fastify()
  t.teardown(() => server.close())
  answerProblems(server)
  deferFrequentWrites(server, { writeQueueSize: 200 })
  const handled: string[] = []
  const config = { deferrable: true } as const
  server.post<{ Params: { id: string } }>('/likes/:id', { config }, async ({ params }) => handled.push(params.id))
  server.post('/other', async () => handled.push('other'))
  await server.ready()

  // `inject` sends only once it is awaited.
  const post = async (url: string) => await server.inject({ method: 'POST', url })
  const likes = Array.from({ length: 300 }, (_, id) => post(`/likes/${id}`))
  const other = post('/other')
  t.equal((await other).statusCode, 200)
  t.ok(handled.indexOf('other') <= 64, `after ${handled.indexOf('other')} likes that arrived before it`)
  const answers = await Promise.all(likes)
  const refused = answers.filter(({ statusCode }) => statusCode !== 200)
  t.equal(refused.length, 300 - 200 - 64)
  for (const { statusCode, headers, json } of refused)
    t.match(
      { statusCode, retryAfter: headers['retry-after'], ...json() },
      { statusCode: 503, retryAfter: '1', code: 'BUSY' },
    )
  t.same(
    handled.filter((id) => id !== 'other'),
    Array.from({ length: 264 }, (_, id) => String(id)),
  )
  t.equal((await post('/likes/300')).statusCode, 200, 'there is room again')
})

test('a like waits at most two seconds for a locked row', async (t) => {
  const { as, pool } = await setup(t)
  const ana = await as('ana')
  const post = await ana.post('Hello')
  const holder = await pool.connect()
  await holder.query('begin')
  await holder.query('select from social.posts where id = $1 for update', [post.id])
  t.match(await ana.request('POST', `/posts/${post.id}/like`), { status: 503, body: { code: 'BUSY' } })
  await holder.query('rollback')
  holder.release()
  t.match(await ana.like(post.id), { liked: true, likeCount: 1 })
})

test('a request that gets no connection in time is asked to retry', async (t) => {
  const { as, pool } = await setup(t, { env: { POOL_SIZE: '2' } })
  const ana = await as('ana')
  pool.options.connectionTimeoutMillis = 100
  const held = [await pool.connect(), await pool.connect()]
  const refused = await ana.request('GET', `/users/${ana.id}`)
  t.match(refused, { status: 503, body: { code: 'BUSY' } })
  t.equal(refused.headers.get('retry-after'), '1')
  for (const client of held) client.release()
  t.match(await ana.request('GET', `/users/${ana.id}`), { status: 200 })
})

test('slow headers and bodies get 408, and idle connections are closed', async (t) => {
  const { app } = await startSystem(t, await cloneDatabase(t))
  const server = await createServer(app, { timeouts: { headers: 150, request: 300, keepAlive: 200, check: 25 } })
  t.teardown(() => server.close())
  await server.listen({ host: '127.0.0.1', port: 0 })
  const { port } = server.server.address() as AddressInfo

  t.match(await answerTo(port, 'GET /healthz HTTP/1.1\r\nhost: x\r\n'), /^HTTP\/1\.1 408 .*REQUEST_TOO_SLOW/s)
  const head = 'POST /auth/signin HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{'
  t.match(await answerTo(port, head), /^HTTP\/1\.1 408 .*REQUEST_TOO_SLOW/s)
  t.match(await answerTo(port, ''), /^HTTP\/1\.1 408 /, 'who sends nothing is hung up on')
  t.match(
    await answerTo(port, 'GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n'),
    /^HTTP\/1\.1 200 /,
    'and who sends nothing more',
  )
  t.match(
    await answerTo(port, `GET /healthz HTTP/1.1\r\nhost: x\r\nx-long: ${'x'.repeat(20_000)}\r\n\r\n`),
    /^HTTP\/1\.1 431 .*HEADERS_TOO_LARGE/s,
  )
})

test('bodies are limited to 128 KiB, bodies of batch sends to the size of 10,000 ids', async (t) => {
  const { as, pool, url } = await setup(t)
  const ana = await as('ana')
  await grantAdmin(pool, 'ana')
  const admin = await signIn(url, 'ana')
  const tooLarge = { status: 413, body: { code: 'BODY_TOO_LARGE' } }
  t.match(await ana.request('POST', '/posts', { body: 'x'.repeat(128 * 1024) }), tooLarge)
  t.match(await ana.request('POST', '/posts', { body: 'x'.repeat(127 * 1024) }), { status: 400 })
  const recipientIds = Array.from({ length: 10_000 }, (_, i) => String(10n ** 17n + BigInt(i)))
  const send = (body: object) =>
    admin.request(
      'POST',
      '/notifications/send/batch',
      { recipientIds, message: 'x', ...body },
      { 'idempotency-key': 'k' },
    )
  t.match(await send({ title: 'x' }), { status: 202, body: { total: 10_000, accepted: 0 } })
  t.match(await send({ title: 'x'.repeat(3 * 1024 * 1024) }), tooLarge)
})

test('a running server limits headers, requests and idle connections', async (t) => {
  const { server } = (await setup(t)).server
  const { headersTimeout, requestTimeout, timeout, keepAliveTimeout } = server
  for (const [name, value] of Object.entries({ headersTimeout, requestTimeout, timeout, keepAliveTimeout }))
    t.ok(value > 0 && value <= 300_000, `${name} is ${value}`)
})

/** Everything the server sends until it closes the connection. */
async function answerTo(port: number, text: string): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  let answer = ''
  socket.on('data', (chunk) => {
    answer += chunk
  })
  socket.on('error', () => undefined)
  if (text) socket.write(text)
  await once(socket, 'close')
  return answer
}

/** Until the like has been tried, and is kept for another try while its post is held: the queue is full. */
async function tried(pool: Pool): Promise<void> {
  await eventually(async () => {
    const { rows } = await pool.query(
      `select from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and query ilike '%insert into social.likes%'`,
    )
    return rows.length === 1
  })
}
