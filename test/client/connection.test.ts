import t from 'tap'
import {
  type ConnectionSnapshot,
  type ConnectionStatus,
  createRavenpost,
  SignedOut,
  waitAfter,
} from '../../client/src/core.ts'
import { eventually, setup } from '../setup.ts'
import { startClient } from './client.ts'
import { startProxy } from './proxy.ts'

t.test('a token is renewed before it expires, without closing the connection', async (t) => {
  const system = await setup(t, { push: true, env: { ACCESS_TOKEN_TTL: '4' } })
  const ana = await system.as('ana')
  const session = { accessToken: ana.accessToken, refreshToken: ana.refreshToken }
  let renewals = 0
  const getToken = async ({ renew }: { renew: boolean }) => {
    if (renew) {
      renewals += 1
      Object.assign(session, (await ana.request('POST', '/auth/refresh', { refreshToken: session.refreshToken })).body)
    }
    return session.accessToken
  }
  const started = startClient(t, ana, { url: system.url, getToken })
  await started.live()
  const firstEnds = expiryOf(ana.accessToken)
  await eventually(() => Date.now() > firstEnds + 1000)
  t.ok(renewals >= 1)
  t.same(
    started.statuses.map(([status]) => status),
    ['connecting', 'catchingUp', 'live'],
    'without a break',
  )
})

t.test('a refused token is renewed once for all requests', async (t) => {
  const system = await setup(t, { push: true })
  const ana = await system.as('ana')
  const asked: boolean[] = []
  const getToken = async ({ renew }: { renew: boolean }) => {
    asked.push(renew)
    await new Promise((resolve) => setTimeout(resolve, 20))
    return renew ? ana.accessToken : 'nonsense'
  }
  const started = startClient(t, ana, { url: system.url, getToken })
  await Promise.all([
    started.live(),
    started.client.why('1').catch(() => {}),
    started.client.request('GET', '/auth/me'),
  ])
  t.equal(started.titles().length, 0)
  t.same(asked, [false, true])
})

t.test('the client reconnects with growing delays until a server answers', async (t) => {
  const system = await setup(t, { push: true })
  const network = await startProxy(t, system.url)
  const started = startClient(t, await system.as('ana'), network)
  await started.live()
  network.refuse(true)
  network.cut()
  await eventually(() => started.statuses.filter(([status]) => status === 'waiting').length > 3)
  network.refuse(false)
  await started.live(2)

  const longest = (code: number, failures: number) =>
    Math.max(...Array.from({ length: 1000 }, () => waitAfter(code, failures)))
  const waits = [0, 1, 2, 3, 10, 1000].map((failures) => longest(1006, failures) / 1000)
  for (const [index, limit] of [0.5, 1, 2, 4, 30, 30].entries()) {
    t.ok((waits[index] ?? 0) <= limit)
    t.ok((waits[index] ?? 0) > limit * 0.9)
  }
})

t.test('a silent connection is closed and replaced', async (t) => {
  const system = await setup(t, { worker: true, push: { heartbeatMs: 100 } })
  const [ana, ben] = [await system.as('ana'), await system.as('ben')]
  const network = await startProxy(t, system.url)
  const started = startClient(t, ana, { url: system.url, socketUrl: `${network.url.replace('http', 'ws')}/ws` })
  await started.live()
  network.swallow()
  await eventually(() => started.statuses.some(([status, code]) => status === 'waiting' && code === 4408))
  await started.live(2)
  await ben.follow(ana.id)
  await started.shows('ben followed you')
})

t.test('a revoked session stops the client; a server that shuts down does not', async (t) => {
  const system = await setup(t, { push: true })
  const ana = await system.as('ana')
  const started = startClient(t, ana, system)
  await started.live()
  await ana.request('DELETE', `/auth/sessions/${ana.sessionId}`)
  await eventually(() => started.statuses.at(-1)?.[0] === 'signedOut')
  t.equal(started.statuses.at(-1)?.[1], 4403)

  const gone = () => {
    throw new SignedOut('nobody is signed in')
  }
  const nobody = startClient(t, ana, { url: system.url, getToken: gone })
  await eventually(() => nobody.statuses.at(-1)?.[0] === 'signedOut')

  const cleo = startClient(t, await system.as('cleo'), { url: system.url })
  await cleo.live()
  await system.push?.close()
  await eventually(() => cleo.statuses.at(-1)?.[0] === 'waiting')
  t.equal(cleo.statuses.at(-1)?.[1], 1001)
  cleo.client.stop()
  t.equal(cleo.statuses.at(-1)?.[0], 'stopped')
})

t.test('a client that React stops and restarts in development mode is live in the end', async (t) => {
  const system = await setup(t, { push: true })
  const ana = await system.as('ana')
  let release = () => {}
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  let isFirst = true
  const getToken = async () => {
    if (isFirst) {
      isFirst = false
      await held
    }
    return ana.accessToken
  }
  const started = startClient(t, ana, { url: system.url, getToken })
  await eventually(() => !isFirst)
  started.client.stop()
  started.client.start()
  release()
  await started.live()
  await started.client.readAll()
  t.same(
    started.statuses.map(([status]) => status),
    ['connecting', 'stopped', 'connecting', 'catchingUp', 'live'],
  )
})

t.test("the browser's online event makes the client reconnect immediately", async (t) => {
  const system = await setup(t, { push: true })
  const network = await startProxy(t, system.url)
  const page = fakePage(t)
  const started = startClient(t, await system.as('ana'), network)
  await started.live()
  network.refuse(true)
  page.online(false)
  await eventually(() => started.statuses.at(-1)?.[0] === 'offline')
  const { retryAt = 0 } = started.client.connection.getSnapshot()
  t.ok(retryAt > Date.now() + 30_000, 'nothing is tried while there is no network')
  network.refuse(false)
  page.online(true)
  await started.live(2)
  t.ok(Date.now() < retryAt - 20_000)

  // The network may be back without a word: the user asks.
  page.online(false)
  await eventually(() => started.statuses.at(-1)?.[0] === 'offline')
  page.online(true, { silently: true })
  started.client.retryNow()
  await started.live(3)
})

t.test('the client reacts to close codes as docs/protocol.md describes', async (t) => {
  const system = await setup(t, {})
  const ana = await system.as('ana')
  const statusAfter = async (code: number): Promise<{ status: ConnectionStatus; waits: number }> => {
    const client = createRavenpost({
      url: system.url,
      getToken: () => ana.accessToken,
      openSocket: () => closedWith(code),
    })
    t.teardown(() => client.stop())
    // At the moment of the change, because the wait after it may be short.
    const ended = await new Promise<ConnectionSnapshot>((resolve) => {
      client.connection.subscribe(() => {
        const snapshot = client.connection.getSnapshot()
        if (snapshot.closeCode === code) resolve(snapshot)
      })
      client.start()
    })
    client.stop()
    return { status: ended.status, waits: (ended.retryAt ?? 0) - Date.now() }
  }
  for (const code of [4400, 1009, 1002, 1007]) t.equal((await statusAfter(code)).status, 'refused', String(code))
  t.equal((await statusAfter(4403)).status, 'signedOut')
  for (const code of [1001, 1006, 4401, 4408]) t.equal((await statusAfter(code)).status, 'waiting', String(code))
  t.ok((await statusAfter(4429)).waits > 50_000)
})

/** A socket that the server closes immediately. */
function closedWith(code: number) {
  const socket = {
    readyState: 0,
    send() {},
    close() {},
    onopen: null,
    onclose: null as ((event: never) => void) | null,
    onerror: null,
    onmessage: null,
  }
  // A close event, as far as it is looked at.
  setTimeout(() => socket.onclose?.({ code } as never), 1)
  return socket
}

/** The parts of a browser that the client uses: events of the window, and whether there is a network. */
function fakePage(t: { teardown(end: () => void): void }) {
  const target = new EventTarget()
  const navigator = { onLine: true }
  const before = Object.getOwnPropertyDescriptor(globalThis, 'navigator')
  Object.defineProperty(globalThis, 'navigator', { value: navigator, configurable: true })
  Object.assign(globalThis, { addEventListener: target.addEventListener.bind(target) })
  t.teardown(() => {
    if (before) Object.defineProperty(globalThis, 'navigator', before)
    Reflect.deleteProperty(globalThis, 'addEventListener')
  })
  return {
    online(value: boolean, { silently = false } = {}) {
      navigator.onLine = value
      if (!silently) target.dispatchEvent(new Event(value ? 'online' : 'offline'))
    },
  }
}

function expiryOf(accessToken: string): number {
  return JSON.parse(Buffer.from(accessToken.split('.')[1] ?? '', 'base64url').toString()).exp * 1000
}
