import { pino } from 'pino'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import { eventually, setup } from '../setup.ts'
import { startNode } from './node.ts'
import { TestSocket } from './socket.ts'

/** Limits as they are by default. */
const SCALE = { RATE_LIMIT_SCALE: '1' }

type Upgrade = { status: number; retryAfter: number; code: unknown }

/** Opens a socket and sends nothing. */
const upgrade = (t: Test, url: string, forwardedFor?: string) =>
  new Promise<Upgrade>((resolve) => {
    const headers = forwardedFor === undefined ? {} : { 'x-forwarded-for': forwardedFor }
    const socket = new WebSocket(url, 'ravenpost.v1', { headers })
    t.teardown(() => socket.terminate())
    socket.on('error', () => {})
    socket.on('open', () => resolve({ status: 101, retryAfter: 0, code: undefined }))
    socket.on('unexpected-response', async (_, response) => {
      const { code } = JSON.parse(Buffer.concat(await response.toArray()).toString())
      resolve({ status: response.statusCode ?? 0, retryAfter: Number(response.headers['retry-after']), code })
    })
  })

t.test('upgrades without a hello are limited by network, with one log line', async (t) => {
  const lines: string[] = []
  const log = pino({ level: 'warn' }, { write: (line: string) => void lines.push(line) })
  const system = await setup(t, { push: true, log, env: { ...SCALE, TRUSTED_PROXIES: 'loopback' } })
  const url = `${system.url.replace('http', 'ws')}/ws`
  const answers = await Promise.all(Array.from({ length: 400 }, () => upgrade(t, url, '2001:db8::1')))
  t.equal(answers.filter(({ status }) => status === 101).length, 300)
  const refused = answers.find(({ status }) => status === 429)
  t.match(refused, { code: 'RATE_LIMITED' })
  t.ok(refused && refused.retryAfter > 0 && refused.retryAfter <= 60, `${refused?.retryAfter}`)
  t.match(await upgrade(t, url, '2001:db8::ffff'), { status: 429 }, 'of the same network')
  t.match(await upgrade(t, url, '2001:db8:1::1'), { status: 101 }, 'of another')
  t.match(await upgrade(t, url, '2001:db8::1, 192.0.2.7'), { status: 101 }, 'as the proxy saw it')
  t.match(await upgrade(t, url), { status: 101 })
  t.equal(lines.filter((line) => line.includes('upgrades')).length, 1)
})

t.test('an upgrade with a valid hello does not count against its network', async (t) => {
  const node = await startNode(t, { env: SCALE, limits: { upgradeBudget: 10 } })
  const people = await Promise.all(['ana', 'ben', 'cem'].map((name) => node.user(name)))
  for (const person of [...people, ...people, ...people, ...people, ...people]) {
    const socket = await person.connect()
    await socket.next('synced')
  }
  for (let n = 0; n < 10; n += 1) {
    const socket = await TestSocket.open(t, node.url)
    socket.send({ type: 'hello', token: 'nonsense' })
    t.equal(await socket.closed(), 4401)
  }
  t.match(await upgrade(t, node.url), { status: 429 })
})

t.test('a user who reconnects keeps the same budget of frames', async (t) => {
  const node = await startNode(t, { env: SCALE, limits: { framePeriodMs: 60_000 } })
  const ana = await node.user('ana')
  let answered = 0
  let code = 0
  for (let sockets = 0; sockets < 25 && code === 0; sockets += 1) {
    const socket = await ana.connect()
    const welcomed = await eventually(() => socket.closeCode ?? socket.of('synced').length)
    if (welcomed > 1) code = welcomed
    for (let n = 0; n < 30; n += 1) socket.send({ type: 'read', ids: ['1'], ref: `${n}` })
    await eventually(() => socket.of('ok').length === 30 || socket.closeCode)
    answered += socket.of('ok').length
    code = socket.closeCode ?? code
    socket.socket.terminate()
  }
  t.equal(code, 4429)
  t.ok(answered > 200 && answered <= 300, `${answered} were answered`)
  const ben = await (await node.user('ben')).connect()
  await ben.next('synced')
})

t.test('endless hellos of one user are refused before anything is read for them', async (t) => {
  const node = await startNode(t, { env: SCALE, limits: { framePeriodMs: 60_000 } })
  const ana = await node.user('ana')
  const codes = new Set<number | undefined>()
  for (let n = 0; n < 120; n += 1) {
    const socket = await ana.connect()
    await eventually(() => socket.closeCode ?? socket.of('synced').length > 0)
    codes.add(socket.closeCode)
    socket.socket.terminate()
    await eventually(() => node.push.stats().sockets === 0)
  }
  t.same([...codes], [undefined, 4429])
})
