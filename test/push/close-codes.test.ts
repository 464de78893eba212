import { get } from 'node:http'
import { pino } from 'pino'
import t from 'tap'
import { WebSocket } from 'ws'
import { signAccessToken } from '../../src/social/sessions/tokens.ts'
import { call } from '../client.ts'
import { eventually, setup } from '../setup.ts'
import { signIn, startNode } from './node.ts'
import { TestSocket } from './socket.ts'

const status = (url: string, protocols: string[], origin?: string) =>
  new Promise<number>((resolve) => {
    const socket = new WebSocket(url, protocols, { ...(origin && { origin }) })
    socket.on('unexpected-response', (_, response) => resolve(response.statusCode ?? 0))
    socket.on('error', () => {})
    socket.on('open', () => {
      resolve(101)
      socket.terminate()
    })
  })
/** The problem that an upgrade is refused with. */
const problem = (url: string, protocols: string[], origin?: string) =>
  new Promise<unknown>((resolve) => {
    const socket = new WebSocket(url, protocols, { ...(origin && { origin }) })
    socket.on('error', () => {})
    socket.on('unexpected-response', async (_, response) => {
      const { 'content-type': type, 'x-request-id': requestId } = response.headers
      resolve({ type, requestId, ...JSON.parse(Buffer.concat(await response.toArray()).toString()) })
    })
  })
/** However slow the machine is, all frames of a test are counted together. */
const ONE_WINDOW = { framePeriodMs: 600_000 }
const ownOrigin = (url: string) => url.replace('ws:', 'http:').replace('/ws', '')

t.test('an upgrade on a wrong path, from a wrong origin or without the subprotocol is refused', async (t) => {
  const node = await startNode(t, { env: { ALLOWED_ORIGINS: 'https://example.org' } })
  t.equal(await status(node.url.replace('/ws', '/other'), ['ravenpost.v1']), 404)
  t.equal(await status(node.url, ['ravenpost.v1'], 'https://example.org.evil.example'), 403)
  t.equal(await status(node.url, ['ravenpost.v1'], 'http://example.org'), 403, 'another scheme')
  t.equal(await status(node.url, ['ravenpost.v2']), 400)
  t.equal(await status(node.url, []), 400)
  t.equal(await status(node.url, ['ravenpost.v1'], 'https://example.org'), 101)
  t.equal(await status(node.url, ['ravenpost.v1'], ownOrigin(node.url)), 403, 'what the request calls its host')
  t.equal(await status(node.url, ['other', 'ravenpost.v1']), 101)
})

t.test('a refused upgrade is answered with a problem', async (t) => {
  const node = await startNode(t, { env: { ALLOWED_ORIGINS: 'https://example.org' } })
  const found = { requestId: /./, title: /./, instance: '/ws' }
  t.match(await problem(node.url.replace('/ws', '/other?token=x'), ['ravenpost.v1']), {
    ...found,
    instance: '/other',
    status: 404,
    code: 'ROUTE_NOT_FOUND',
  })
  t.match(await problem(node.url, ['ravenpost.v1'], 'https://example.com'), {
    ...found,
    status: 403,
    code: 'ORIGIN_NOT_ALLOWED',
  })
  t.match(await problem(node.url, []), { ...found, status: 400, code: 'SUBPROTOCOL_NEEDED' })
})

t.test(
  'a refused origin logs one line that names it and ALLOWED_ORIGINS; the origin of PUBLIC_URL is accepted',
  async (t) => {
    const lines: { origin?: string; msg: string }[] = []
    const log = pino({ level: 'warn' }, { write: (line: string) => void lines.push(JSON.parse(line)) })
    const env = { ALLOWED_ORIGINS: 'https://example.org', PUBLIC_URL: 'https://raven.example.org/api' }
    const { url } = await setup(t, { push: true, log, env })
    const socketUrl = `${url.replace('http', 'ws')}/ws`
    t.equal(await status(socketUrl, ['ravenpost.v1'], 'https://raven.example.org'), 101)
    for (let n = 0; n < 3; n += 1) t.equal(await status(socketUrl, ['ravenpost.v1'], 'https://elsewhere.example'), 403)
    for (const origin of [
      'https://example.org',
      'https://raven.example.org',
      url,
      'http://localhost:5173',
      'http://localhost:5173',
    ])
      await call(url, 'GET', '/docs', undefined, { origin })
    const refusals = lines.filter(({ origin }) => origin !== undefined)
    t.match(refusals, [
      { origin: 'https://elsewhere.example', msg: /websockets from https:\/\/elsewhere\.example.*ALLOWED_ORIGINS/ },
      { origin: 'http://localhost:5173', msg: /calls from http:\/\/localhost:5173.*ALLOWED_ORIGINS/ },
    ])
    t.equal(refusals.length, 2)
  },
)

t.test('a plain GET of /ws answers 426, and an upgrade to another protocol is ignored', async (t) => {
  const { url, server } = await setup(t, { push: true })
  const { status, headers, body } = await call(url, 'GET', '/ws')
  t.equal(status, 426)
  t.equal(headers.get('upgrade'), 'websocket')
  t.match(headers.get('content-type'), 'application/problem+json')
  t.match(body, { code: 'UPGRADE_REQUIRED', detail: /ravenpost\.v1/, instance: '/ws' })
  const offer = { connection: 'Upgrade, HTTP2-Settings', upgrade: 'h2c', 'http2-settings': '' }
  const answered = (path: string) =>
    new Promise<number | undefined>((resolve, reject) => {
      get(url + path, { headers: offer }, (response) => resolve(response.resume().statusCode)).on('error', reject)
    })
  t.equal(await answered('/healthz'), 200)
  t.equal(await answered('/ws'), 426)
  const apart = await server.inject({ url: '/ws', headers: { connection: 'upgrade', upgrade: 'websocket' } })
  t.match(apart.json(), { code: 'UPGRADE_REQUIRED', detail: /role push or all/ }, 'in a process without sockets')
})

t.test("without ALLOWED_ORIGINS only the server's own origin is accepted", async (t) => {
  const node = await startNode(t)
  t.equal(await status(node.url, ['ravenpost.v1'], ownOrigin(node.url)), 101)
  t.equal(await status(node.url, ['ravenpost.v1'], 'https://example.org'), 403)
})

t.test('a silent connection closes with 4408, with or without a hello', async (t) => {
  const impatient = await startNode(t, { limits: { helloMs: 100 } })
  const silent = await TestSocket.open(t, impatient.url)
  t.equal(await silent.closed(), 4408)
  const node = await startNode(t, { limits: { heartbeatMs: 100 } })
  const ana = await node.user('ana')
  const dead = await TestSocket.open(t, node.url, { autoPong: false })
  dead.send({ type: 'hello', token: ana.token })
  await dead.next('welcome')
  const forging = setInterval(() => dead.socket.readyState === WebSocket.OPEN && dead.socket.pong('1'), 20)
  t.teardown(() => clearInterval(forging))
  t.equal(await dead.closed(), 4408, 'pongs that answer no ping do not count')
})

t.test('a first frame that is not a valid hello closes with 4400', async (t) => {
  const node = await startNode(t)
  const ana = await node.user('ana')
  const firsts = [
    'nonsense',
    '{"type":"hello"',
    '[]',
    'null',
    `{"type":${'['.repeat(30_000)}${']'.repeat(30_000)}}`,
    '{"type":{"toString":1}}',
    '{"type":"ping"}',
    '{"type":"hello"}',
    '{"type":"hello","token":1}',
    JSON.stringify({ type: 'hello', token: ana.token, since: 7 }),
    JSON.stringify({ type: 'hello', token: ana.token, extra: true }),
    Buffer.from(JSON.stringify({ type: 'hello', token: ana.token })),
  ]
  for (const first of firsts) {
    const socket = await TestSocket.open(t, node.url)
    socket.socket.send(first)
    t.equal(await socket.closed(), 4400, String(first).slice(0, 30))
    t.equal(socket.frames.length, 0, 'no frame was sent')
  }
})

t.test('a forged, foreign or expired token closes with 4401', async (t) => {
  const node = await startNode(t)
  const ana = await node.user('ana')
  const { config } = node.app
  const claims = { userId: ana.id, sessionId: ana.sessionId, role: 'user' } as const
  const tokens = {
    nonsense: 'nonsense',
    'as long as a header': 'x'.repeat(16_384),
    foreign: signAccessToken({ ...config, jwtSecret: 'another secret, also of 32 bytes and more' }, claims),
    expired: signAccessToken({ ...config, accessTokenTtl: -10 }, claims),
  }
  for (const [name, token] of Object.entries(tokens)) {
    const socket = await TestSocket.open(t, node.url)
    socket.send({ type: 'hello', token })
    t.equal(await socket.closed(), 4401, name)
  }
  const socket = await TestSocket.open(t, node.url)
  // Long enough for a hello on a busy machine.
  socket.send({ type: 'hello', token: signAccessToken({ ...config, accessTokenTtl: 4 }, claims) })
  await socket.next('synced')
  t.equal(await socket.closed(), 4401, 'the token ends while the socket is open')
})

t.test("a new token keeps the socket open, unless it is invalid or another user's", async (t) => {
  const node = await startNode(t, { env: { SWEEP_INTERVAL_MS: '60000' } })
  const [ana, ben] = [await node.user('ana'), await node.user('ben')]
  const { config } = node.app
  const claims = { userId: ana.id, sessionId: ana.sessionId, role: 'user' } as const
  const short = (seconds: number) => signAccessToken({ ...config, accessTokenTtl: seconds }, claims)
  const renewed = await ana.connect()
  const other = await ana.connect()
  await Promise.all([renewed.next('synced'), other.next('synced')])
  // One after the other, so that the end of the short one is set and taken back however slow the machine is.
  renewed.send({ type: 'token', token: short(4) })
  renewed.send({ type: 'token', token: short(900) })
  other.send({ type: 'token', token: short(4) })
  t.equal(await other.closed(), 4401)
  renewed.send({ type: 'ping' })
  await renewed.next('pong')
  renewed.send({ type: 'token', token: ben.token })
  t.equal(await renewed.closed(), 4403)
  const bad = await ana.connect()
  bad.send({ type: 'token', token: 'nonsense' })
  t.equal(await bad.closed(), 4401)
  const revoked = await signIn(node.app, ana.id)
  await node.app.pool.query('update social.sessions set revoked_at = now() where id = $1', [revoked])
  const moving = await ana.connect()
  await moving.next('synced')
  moving.send({ type: 'token', token: signAccessToken(config, { ...claims, sessionId: revoked }) })
  t.equal(await moving.closed(), 4403, 'of a session that was revoked, at once')
})

t.test('a revoked session closes with 4403: at the hint, by the sweep, and at hello', async (t) => {
  const node = await startNode(t)
  const ana = await node.user('ana')
  const { pool } = node.app
  const revoke = (id: string) => pool.query('update social.sessions set revoked_at = now() where id = $1', [id])

  const otherSession = await signIn(node.app, ana.id)
  const other = await TestSocket.open(t, node.url)
  const token = signAccessToken(node.app.config, { userId: ana.id, sessionId: otherSession, role: 'user' })
  other.send({ type: 'hello', token })
  const swept = await ana.connect()
  await Promise.all([swept.next('synced'), other.next('synced')])
  await revoke(ana.sessionId)
  t.equal(await swept.closed(), 4403, 'without a hint')
  t.equal(await (await ana.connect()).closed(), 4403, 'its token is still valid')
  t.equal(other.closeCode, undefined, 'the other session stays')
  await revoke(otherSession)
  node.app.wakeUps.sessionRevoked(otherSession)
  t.equal(await other.closed(), 4403)
})

t.test('more than 20 sockets of a user, or too many frames, close with 4429', async (t) => {
  const node = await startNode(t, { env: { RATE_LIMIT_SCALE: '1' }, limits: ONE_WINDOW })
  const ana = await node.user('ana')
  const sockets: TestSocket[] = []
  // One after the other: a machine that is busy refuses hellos that waited for too long.
  for (let n = 0; n < 20; n += 1) {
    const socket = await ana.connect()
    await socket.next('synced')
    sockets.push(socket)
  }
  t.equal(sockets[0]?.socket.extensions, '', 'nothing is compressed')
  t.equal(await (await ana.connect()).closed(), 4429)
  const [acking, flooding, leaving] = sockets
  if (!acking || !flooding || !leaving) throw new Error('unreachable')
  for (let n = 0; n < 400; n += 1) acking.send({ type: 'ack', state: acking.state })
  for (let n = 0; n < 70; n += 1) flooding.send({ type: 'ping' })
  t.equal(await flooding.closed(), 4429)
  acking.send({ type: 'ping' })
  await acking.next('pong')
  leaving.socket.close()
  await leaving.closed()
  await (await ana.connect()).next('synced')
})

t.test('websocket pings count as frames', async (t) => {
  const node = await startNode(t, { env: { RATE_LIMIT_SCALE: '1' }, limits: ONE_WINDOW })
  const socket = await (await node.user('ana')).connect()
  await socket.next('synced')
  let pongs = 0
  socket.socket.on('pong', () => {
    pongs += 1
    if (pongs % 10 === 0) ten()
  })
  const ten = () => {
    for (let n = 0; n < 10; n += 1) socket.socket.ping()
  }
  ten()
  t.equal(await socket.closed(60), 4429)
  t.ok(pongs > 500, `answered before: ${pongs}`)
})

t.test('the sockets of a user share a budget of frames', async (t) => {
  const node = await startNode(t, { env: { RATE_LIMIT_SCALE: '1' }, limits: { ...ONE_WINDOW, userFrameBudget: 1000 } })
  const [ana, ben] = [await node.user('ana'), await node.user('ben')]
  const sockets = [await ana.connect(), await ana.connect(), await ana.connect()]
  const other = await ben.connect()
  await Promise.all([...sockets, other].map((socket) => socket.next('synced')))
  // 400 each, which none of them may not spend alone.
  for (const socket of sockets) for (let n = 0; n < 40; n += 1) socket.send({ type: 'ping' })
  const codes = await eventually(() => sockets.some((s) => s.closeCode) && sockets.map((s) => s.closeCode))
  t.ok(codes.includes(4429))
  other.send({ type: 'ping' })
  await other.next('pong')
})

t.test('a frame of more than 64 KiB closes with 1009', async (t) => {
  const node = await startNode(t)
  const socket = await TestSocket.open(t, node.url)
  socket.socket.send('x'.repeat(64 * 1024 + 1))
  t.equal(await socket.closed(), 1009)
})

t.test('a node that shuts down closes with 1001 in bounded time', async (t) => {
  const node = await startNode(t)
  const ana = await node.user('ana')
  const socket = await ana.connect()
  await socket.next('synced')
  const stuck = await ana.connect()
  await stuck.next('synced')
  stuck.socket.pause()
  await node.push.close()
  t.equal(socket.closeCode ?? (await socket.closed()), 1001)
  t.same(node.push.stats(), { sockets: 0, users: 0, buffered: 0 })
  t.equal(node.push.listenAlive(), false)
})
