import { type Test, test } from 'tap'
import { purge } from '../../../src/worker/retention.ts'
import { call, PASSWORD, signIn, type TestClient } from '../../client.ts'
import { settled } from '../../settled.ts'
import { eventually, setup } from '../../setup.ts'
import { startPushService, vapid } from './push-service.ts'

async function pushSystem(t: Test) {
  const service = await startPushService(t)
  const system = await setup(t, {
    worker: true,
    windowSeconds: 0,
    env: vapid,
    senders: { pushAgent: service.agent, timeoutMs: 500 },
  })
  const subscribe = async (who: TestClient) => {
    const { status, body } = await who.request('POST', '/push/subscriptions', service.browser())
    t.equal(status, 201)
    return String(body.id)
  }
  const reach = async ({ id }: TestClient) => {
    const { rows } = await system.pool.query<{ reachable: string[]; browsers: number }>(
      `select reachable_by as reachable, (select count(*)::int from notify.push_subscriptions where user_id = $1) as browsers
       from notify.inbox where user_id = $1`,
      [id],
    )
    return rows[0]
  }
  return { ...system, service, subscribe, reach }
}

test('a browser receives nothing after its session ends', async (t) => {
  const { url, as, service, subscribe, reach } = await pushSystem(t)
  const reuse = async ({ refreshToken }: TestClient) => {
    const next = (await call(url, 'POST', '/auth/refresh', { refreshToken })).body
    await call(url, 'POST', '/auth/refresh', { refreshToken: next.refreshToken })
    return (await call(url, 'POST', '/auth/refresh', { refreshToken })).status
  }
  const ends: Record<string, (ended: TestClient, other: TestClient) => Promise<number>> = {
    signout: async (ended) =>
      (await ended.request('POST', '/auth/signout', { refreshToken: ended.refreshToken })).status,
    deletion: async (ended, other) => (await other.request('DELETE', `/auth/sessions/${ended.sessionId}`)).status,
    reuse,
    password: async (_, other) => {
      const change = { currentPassword: PASSWORD, password: 'another horse battery' }
      return (await other.request('PUT', '/auth/password', change)).status
    },
  }
  for (const [name, end] of Object.entries(ends)) {
    const [ended, fan] = [await as(`ana_${name}`), await as(`fan_${name}`)]
    const other = await signIn(url, ended.username)
    await subscribe(ended)
    t.same(await reach(ended), { reachable: ['webPush'], browsers: 1 })
    t.equal(await end(ended, other), name === 'reuse' ? 401 : 204, name)
    t.same(await reach(ended), { reachable: [], browsers: 0 }, name)
    await fan.follow(ended.id)
  }
  const [both, fan] = [await as('both'), await as('fan')]
  const other = await signIn(url, 'both')
  const [, kept] = [await subscribe(both), await subscribe(other)]
  await both.request('POST', '/auth/signout', { refreshToken: both.refreshToken })
  t.same(await reach(both), { reachable: ['webPush'], browsers: 1 }, 'those of other sessions stay')
  await fan.follow(both.id)
  await eventually(() => service.pushes.length > 0)
  t.match((await other.get('/push/subscriptions')).items, [{ id: kept }])
  t.equal(service.asked, 1)
})

test('queued pushes of an ended session are not sent even if its cleanup failed', async (t) => {
  const system = await pushSystem(t)
  const { pool, as, service, subscribe, reach } = system
  const [ana, ben] = [await as('ana'), await as('ben')]
  await subscribe(ana)
  await pool.query(`update social.sessions set expires_at = now() - interval '1 second' where user_id = $1`, [ana.id])
  await ben.follow(ana.id)
  await settled(system)
  const sent = await eventually(async () => {
    const { rows } = await pool.query('select state, reason from notify.deliveries where due_at is null')
    return rows.length > 0 && rows
  })
  t.same(sent, [{ state: 'skipped', reason: 'unsubscribed' }])
  t.equal(service.asked, 0)
  t.same(await reach(ana), { reachable: [], browsers: 0 })
})

test('sign-out does not wait for a locked inbox, and retention removes the push subscription later', async (t) => {
  const { app, pool, as, subscribe, reach } = await pushSystem(t)
  const ana = await as('ana')
  await subscribe(ana)
  const holder = await pool.connect()
  await holder.query('begin')
  await holder.query('select from notify.inbox where user_id = $1 for update', [ana.id])
  const { status } = await ana.request('POST', '/auth/signout', { refreshToken: ana.refreshToken })
  t.equal(status, 204)
  await pool.query(
    `update social.sessions set expires_at = now() - interval '1 day', revoked_at = now() - interval '2 days'`,
  )
  await purge(app)
  t.same(await reach(ana), { reachable: ['webPush'], browsers: 1 }, 'retention waits for nobody either')
  await holder.query('rollback')
  holder.release()
  await purge(app)
  t.same(await reach(ana), { reachable: [], browsers: 0 })
  t.equal((await pool.query('select from social.sessions')).rowCount, 0)
})

test('users list and remove their push subscriptions', async (t) => {
  const { url, as, service, subscribe } = await pushSystem(t)
  const [ana, ben] = [await as('ana'), await as('ben')]
  const phone = await signIn(url, 'ana')
  const [first, second] = [await subscribe(ana), await subscribe(phone)]
  t.match((await ana.get('/push/subscriptions')).items, [
    { id: second, host: 'localhost', createdAt: String, sessionId: phone.sessionId, current: false },
    { id: first, sessionId: ana.sessionId, current: true },
  ])
  t.notMatch(JSON.stringify(await ana.get('/push/subscriptions')), new URL(service.origin).port, 'no endpoint')
  t.same(await ben.get('/push/subscriptions'), { items: [], nextCursor: null })
  t.equal((await ana.request('DELETE', `/push/subscriptions/${second}`)).status, 204)
  t.match((await phone.get('/push/subscriptions')).items, [{ id: first, current: false }])
  t.equal((await phone.request('DELETE', `/push/subscriptions/${second}`)).status, 404)
})

test('a browser that subscribes again belongs to the current session; an ended session cannot subscribe', async (t) => {
  const { url, pool, as, service, reach } = await pushSystem(t)
  const ana = await as('ana')
  const browser = service.browser()
  await ana.request('POST', '/push/subscriptions', browser)
  const again = await signIn(url, 'ana')
  await again.request('POST', '/push/subscriptions', browser)
  await ana.request('POST', '/auth/signout', { refreshToken: ana.refreshToken })
  t.same(await reach(ana), { reachable: ['webPush'], browsers: 1 })
  // As when another process ended it a moment ago.
  await pool.query('update social.sessions set revoked_at = now() where id = $1', [again.sessionId])
  t.equal((await again.request('POST', '/push/subscriptions', service.browser())).status, 401)
})

test('deleting an account deletes its push subscriptions at once', async (t) => {
  const { pool, as, subscribe } = await pushSystem(t)
  const ana = await as('ana')
  await subscribe(ana)
  await ana.deleteAccount()
  t.equal((await pool.query('select from notify.push_subscriptions')).rowCount, 0)
})
