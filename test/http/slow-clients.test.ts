import { once } from 'node:events'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { type Test, test } from 'tap'
import { createServer } from '../../src/api/server.ts'
import type { Timeouts } from '../../src/http/timeouts.ts'
import { signUp } from '../client.ts'
import { cloneDatabase, eventually, startSystem } from '../setup.ts'
import { sized } from '../size.ts'

/** Far more than the pool has database connections. */
const CONNECTIONS = sized(300, 60)
const TRICKLE_MS = 100

test('clients that trickle headers delay nobody and are disconnected', async (t) => {
  const { url, port } = await startServer(t, { headers: 500, check: 50 })
  const ana = await signUp(url, 'ana')
  const slow = await openMany(t, port, 'GET /healthz HTTP/1.1\r\nhost: x\r\n')
  for (const client of slow) client.trickle('x-more: 1\r\n')
  t.match(await ana.request('GET', '/auth/me'), { status: 200 })
  await allClosed(slow)
  for (const { received } of slow) t.match(received(), /^(HTTP\/1\.1 408 |$)/)
  t.match(await ana.request('GET', '/auth/me'), { status: 200 })
})

test('clients that trickle bodies delay nobody and are disconnected', async (t) => {
  const { url, port } = await startServer(t, { request: 1000, check: 50 })
  const ana = await signUp(url, 'ana')
  const upload = [
    'POST /media/upload HTTP/1.1',
    'host: x',
    `authorization: Bearer ${ana.accessToken}`,
    'content-type: multipart/form-data; boundary=b',
    'content-length: 100000',
    '',
    '--b\r\ncontent-disposition: form-data; name="file"; filename="x"\r\n\r\n',
  ].join('\r\n')
  const slow = await openMany(t, port, upload)
  for (const client of slow) client.trickle('x')
  t.match(await ana.request('GET', '/auth/me'), { status: 200 })
  await allClosed(slow)
  t.match(await ana.request('GET', '/auth/me'), { status: 200 })
})

test('silent connections delay nobody and are closed', async (t) => {
  const { url, port } = await startServer(t, { headers: 500, check: 50 })
  const idle = await openMany(t, port, '')
  const ana = await signUp(url, 'ana')
  t.match(await ana.request('GET', '/auth/me'), { status: 200 })
  await allClosed(idle)
})

test('clients that stop reading, or close their half, are disconnected', async (t) => {
  const { url, port, holds } = await startServer(t, { idle: 2000, check: 50 })
  const ana = await signUp(url, 'ana')
  // A connection that she keeps is idle, too.
  const afresh = { connection: 'close' }
  const ask = `GET /docs/static/swagger-ui-bundle.js HTTP/1.1\r\nhost: x\r\n\r\n`
  const deaf = await openMany(t, port, ask.repeat(20), { deaf: true, count: 20 })
  t.match(await ana.request('GET', '/auth/me', undefined, afresh), { status: 200 })
  const half = await openMany(t, port, 'GET /healthz HTTP/1.1\r\nhost: x\r\n', { count: 20 })
  for (const { socket } of half) socket.end()
  await allClosed(half)
  t.match(await ana.request('GET', '/auth/me', undefined, afresh), { status: 200 })
  // A client that does not read does not learn of it: the server knows.
  await eventually(() => !deaf.some(({ socket }) => holds(socket)), 60)
})

type Client = { socket: Socket; closed: () => boolean; received: () => string; trickle: (bytes: string) => void }

async function startServer(t: Test, timeouts: Partial<Timeouts>) {
  const { app } = await startSystem(t, await cloneDatabase(t))
  const server = await createServer(app, { timeouts })
  t.teardown(() => server.close())
  const ports = new Set<number | undefined>()
  server.server.on('connection', (socket) => {
    const { remotePort } = socket
    ports.add(remotePort)
    socket.once('close', () => ports.delete(remotePort))
  })
  await server.listen({ host: '127.0.0.1', port: 0 })
  const { port } = server.server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}`, port, holds: (socket: Socket) => ports.has(socket.localPort) }
}

function openMany(t: Test, port: number, text: string, { deaf = false, count = CONNECTIONS } = {}): Promise<Client[]> {
  return Promise.all(Array.from({ length: count }, () => open(t, port, text, deaf)))
}

async function open(t: Test, port: number, text: string, deaf: boolean): Promise<Client> {
  const socket = connect(port, '127.0.0.1')
  let [closed, received] = [false, '']
  socket.on('close', () => {
    closed = true
  })
  socket.on('error', () => undefined)
  if (!deaf)
    socket.on('data', (bytes) => {
      received = (received + bytes).slice(0, 1000)
    })
  t.teardown(() => socket.destroy())
  await once(socket, 'connect')
  if (text) socket.write(text)
  const trickle = (bytes: string) => {
    const timer = setInterval(() => socket.write(bytes), TRICKLE_MS)
    socket.once('close', () => clearInterval(timer))
  }
  return { socket, closed: () => closed, received: () => received, trickle }
}

function allClosed(clients: Client[]): Promise<unknown> {
  return eventually(() => clients.every(({ closed }) => closed()), 60)
}
