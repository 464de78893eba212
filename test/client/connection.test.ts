import t from 'tap'
import { waitAfter } from '../../client/reconnect.ts'
import { eventually, setup } from '../setup.ts'
import { startClient } from './client.ts'
import { startProxy } from './proxy.ts'

t.test('a renewed token keeps the connection, an expired one is replaced', async (t) => {
  const system = await setup(t, { push: true, env: { ACCESS_TOKEN_TTL: '3' } })
  const ana = await system.as('ana')
  const session = { accessToken: ana.accessToken, refreshToken: ana.refreshToken }
  const renewals: boolean[] = []
  const token = async (renew: boolean) => {
    renewals.push(renew)
    if (renew)
      Object.assign(session, (await ana.request('POST', '/auth/refresh', { refreshToken: session.refreshToken })).body)
    return session.accessToken
  }
  const started = startClient(t, ana, { url: system.url, token })
  await started.live()
  const firstEnds = expiryOf(session.accessToken)
  await eventually(() => Date.now() > firstEnds - 2000)
  await started.client.renewToken()
  const secondEnds = expiryOf(session.accessToken)
  t.ok(secondEnds > firstEnds)
  await eventually(() => started.statuses.some(([, code]) => code === 4401))
  t.ok(Date.now() > secondEnds - 100, 'it outlived the first token')
  await started.live(2)
  t.same(renewals, [false, false, true, true], 'the expired token was not tried again')
})

t.test('a token that is refused from the start is replaced', async (t) => {
  const system = await setup(t, { push: true })
  const ana = await system.as('ana')
  const token = (renew: boolean) => (renew ? ana.accessToken : 'nonsense')
  const started = startClient(t, ana, { url: system.url, token })
  await started.live()
  t.equal(started.inbox.items.length, 0)
})

t.test('it connects again and again, ever more slowly, until there is a server', async (t) => {
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

t.test('a connection that says nothing any more is given up', async (t) => {
  const system = await setup(t, { worker: true, push: { heartbeatMs: 100 } })
  const [ana, ben] = [await system.as('ana'), await system.as('ben')]
  const network = await startProxy(t, system.url)
  const started = startClient(t, ana, { url: system.url, socketUrl: `${network.url.replace('http', 'ws')}/ws` })
  await started.live()
  network.swallow()
  await eventually(() => started.statuses.some(([status, code]) => status === 'waiting' && code === 4408))
  await started.live(2)
  await ben.follow(ana.id)
  await eventually(() => started.titles().includes('ben followed you'))
})

t.test('a revoked session and stop() end it, a server that goes away does not', async (t) => {
  const system = await setup(t, { push: true })
  const ana = await system.as('ana')
  const started = startClient(t, ana, system)
  await started.live()
  await ana.request('DELETE', `/auth/sessions/${ana.sessionId}`)
  await eventually(() => started.statuses.at(-1)?.[0] === 'stopped')
  t.same(started.statuses.at(-1), ['stopped', 4403])

  const cleo = startClient(t, await system.as('cleo'), { url: system.url })
  await cleo.live()
  await system.push?.close()
  await eventually(() => cleo.statuses.at(-1)?.[0] === 'waiting')
  t.same(cleo.statuses.at(-1), ['waiting', 1001])
  cleo.client.stop()
  await eventually(() => cleo.statuses.at(-1)?.[0] === 'stopped')
})

function expiryOf(accessToken: string): number {
  return JSON.parse(Buffer.from(accessToken.split('.')[1] ?? '', 'base64url').toString()).exp * 1000
}
