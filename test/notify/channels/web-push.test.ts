import { type Test, test } from 'tap'
import { type Sender, sendDeliveries } from '../../../src/notify/channels/send.ts'
import { createSenders } from '../../../src/notify/channels/senders.ts'
import { publicAddressesOnly } from '../../../src/notify/channels/web-push/web-push.ts'
import { settled } from '../../settled.ts'
import { eventually, setup, type TestSystem } from '../../setup.ts'
import { startPushService, vapid } from './push-service.ts'

async function pushSystem(t: Test, worker = true) {
  const service = await startPushService(t)
  const system = await setup(t, {
    worker,
    windowSeconds: 0,
    env: vapid,
    senders: { pushAgent: service.agent, timeoutMs: 500 },
  })
  const [ana, ben, cem] = [await system.as('ana'), await system.as('ben'), await system.as('cem')]
  const subscribe = async (who = ana) => (await who.request('POST', '/push/subscriptions', service.browser())).body.id
  return { service, system, ana, ben, cem, subscribe }
}

/** Deliveries of a channel in the order in which they were queued. */
async function deliveries({ pool }: TestSystem) {
  const { rows } = await pool.query('select d.*, due_at <= now() as due from notify.deliveries d order by queued_at')
  return rows
}

/** Makes retries due immediately. */
const hurry = ({ pool }: TestSystem) =>
  pool.query('update notify.deliveries set due_at = now() where due_at is not null')

test('a comment reaches the browser encrypted, and its update replaces it', async (t) => {
  const { service, system, ana, ben, cem, subscribe } = await pushSystem(t)
  await subscribe()
  const post = await ana.post('hello')
  await ben.comment(post.id, 'one')
  await eventually(() => service.pushes.length === 1)
  const [first] = service.pushes
  t.match(first?.content, {
    type: 'comment.created',
    title: 'ben commented on your post',
    body: 'one',
    priority: 'normal',
    state: /^\w+\.\d+$/,
    unreadCount: 1,
    tag: '1',
    silent: false,
    close: [],
  })
  t.match(first?.headers, { urgency: 'normal', 'content-encoding': 'aes128gcm', authorization: /^vapid t=/ })
  t.equal(Number(first?.headers.ttl), 28 * 24 * 3600, 'lives as long as the notification, four weeks at most')
  await cem.comment(post.id, 'two')
  await eventually(() => service.pushes.length === 2)
  t.match(service.pushes[1]?.content, { title: 'cem and ben commented on your post', body: 'two', tag: '1' })
  t.equal(service.pushes[1]?.headers.topic, first?.headers.topic)
  await eventually(async () => (await deliveries(system)).every((d) => d.state === 'sent'))
  t.match(await deliveries(system), [{ state: 'sent', channel: 'webPush', attempts: 1, due_at: null }])
  await ben.like(post.id)
  await settled(system)
  t.equal((await deliveries(system)).length, 1, 'likes are not pushed unless somebody asks for it')
  await ana.request('PATCH', '/notifications/1/read')
  await ben.comment((await ana.post('hello again')).id, 'three')
  await eventually(() => service.pushes.length === 3)
  t.match(service.pushes[2]?.content, { tag: /^[2-9]$/, close: ['1'] }, 'what was read elsewhere is closed')
  t.not(service.pushes[2]?.headers.topic, first?.headers.topic, 'of another group takes no place but its own')
  await system.pool.query(`select notify.emit('system', array[$1::bigint], 's', 'Now', priority => 'critical')`, [
    ana.id,
  ])
  await eventually(() => service.pushes.length === 4)
  t.match(service.pushes[3], { headers: { urgency: 'high' }, content: { priority: 'critical', title: 'Now' } })
})

test('failed pushes are retried under the same id', async (t) => {
  const { service, system, ana, ben, subscribe } = await pushSystem(t)
  await subscribe()
  service.answer = 503
  await ben.follow(ana.id)
  const [tried] = await eventually(async () => {
    const found = await deliveries(system)
    return found[0]?.last_error && found
  })
  t.match(tried, { state: 'queued', attempts: 1, last_error: 'the push service answered 503', due: false })
  service.answer = 201
  await hurry(system)
  await eventually(() => service.pushes.length === 1)
  await eventually(async () => (await deliveries(system))[0]?.state === 'sent')
  const [sent] = await deliveries(system)
  t.match(sent, { attempts: 2, send_id: tried.send_id })
  t.equal(service.pushes[0]?.headers['x-delivery-id'], tried.send_id)
})

test('consecutive failures open the circuit, and no push is lost', async (t) => {
  const { service, system, ana, ben, subscribe } = await pushSystem(t)
  for (let i = 0; i < 8; i += 1) await subscribe()
  service.answer = 500
  await ben.follow(ana.id)
  await eventually(async () => (await deliveries(system)).filter((d) => d.last_error).length === 8)
  const before = service.asked
  await hurry(system)
  await eventually(async () => (await deliveries(system)).every((d) => d.last_error?.includes('fails at the moment')))
  t.equal(service.asked, before)
  t.ok((await deliveries(system)).every((d) => d.attempts <= 1 && d.state === 'queued'))
})

test('a push fails after its last attempt, and expired subscriptions are removed', async (t) => {
  const { service, system, ana, ben, cem, subscribe } = await pushSystem(t)
  await subscribe()
  service.answer = 500
  await ben.follow(ana.id)
  await eventually(async () => (await deliveries(system))[0]?.last_error)
  await system.pool.query('update notify.deliveries set attempts = 7, due_at = now()')
  await eventually(async () => (await deliveries(system))[0]?.state === 'failed')
  const { rows: log } = await system.pool.query(
    `select channel, reason from notify.delivery_log where event = 'failed' and recipient_id = $1 and notification_id = 1`,
    [ana.id],
  )
  t.same(log, [{ channel: 'webPush', reason: 'the push service answered 500' }], 'and logged as such')
  service.answer = 410
  await cem.comment((await ana.post('hello')).id, 'one')
  await eventually(async () => (await deliveries(system))[1]?.state === 'skipped')
  t.match((await deliveries(system))[1], { reason: 'unsubscribed' })
  const { rows } = await eventually(async () => {
    const found = await system.pool.query('select reachable_by from notify.inbox where user_id = $1', [ana.id])
    return found.rows[0]?.reachable_by.length === 0 && found
  })
  t.same(rows[0].reachable_by, [])
  const asked = service.asked
  await ben.comment((await ana.post('hello')).id, 'two')
  await settled(system)
  t.equal(service.asked, asked)
  t.equal((await deliveries(system)).length, 2, 'who cannot be reached costs no row')
  await subscribe()
  service.answer = 404
  await cem.comment((await ana.post('hello')).id, 'three')
  await eventually(async () => (await deliveries(system))[2]?.state === 'skipped')
  await eventually(async () => (await system.pool.query('select from notify.push_subscriptions')).rowCount === 0)
})

test('notifications that are read, retracted or filtered before sending are not sent', async (t) => {
  const { service, system, ana, ben, cem, subscribe } = await pushSystem(t)
  await subscribe()
  service.answer = 503
  await ben.follow(ana.id)
  const post = await ana.post('hello')
  const comment = await ben.comment(post.id, 'one')
  const other = await ana.post('hello again')
  await cem.comment(other.id, 'two')
  await eventually(async () => (await deliveries(system)).filter((d) => d.last_error).length === 3)
  const { items } = await ana.get('/notifications')
  const follow = items.find((item: { type: string }) => item.type === 'user.followed')
  await ana.request('PATCH', `/notifications/${follow.id}/read`)
  await ben.request('DELETE', `/comments/${comment.id}`)
  await settled(system)
  await ana.request('PUT', '/notifications/preferences', { types: { 'comment.created': { webPush: false } } })
  service.answer = 201
  await hurry(system)
  await eventually(async () => (await deliveries(system)).every((d) => d.due_at === null))
  t.same((await deliveries(system)).map((d) => `${d.state} ${d.reason}`).sort(), [
    'cancelled read',
    'cancelled removed',
    'skipped typePreference',
  ])
  t.same(service.pushes, [])
})

test('in quiet hours a push waits for their end', async (t) => {
  const { service, system, ana, ben, subscribe } = await pushSystem(t)
  await subscribe()
  const snoozeUntil = new Date(Date.now() + 3_600_000).toISOString()
  await ana.request('PUT', '/notifications/preferences', { snoozeUntil })
  await ben.follow(ana.id)
  const [waiting] = await eventually(async () => {
    const found = await deliveries(system)
    return found.length === 1 && found
  })
  t.match(waiting, { state: 'deferred', reason: 'snooze', due_at: new Date(snoozeUntil) })
  await hurry(system)
  await eventually(
    async () => (await deliveries(system))[0]?.due === false && (await deliveries(system))[0]?.state === 'deferred',
  )
  t.match((await deliveries(system))[0], { state: 'deferred', reason: 'snooze', attempts: 0 }, 'decided again when due')
  await ana.request('PUT', '/notifications/preferences', {})
  await hurry(system)
  await eventually(() => service.pushes.length === 1)
})

test('a hanging push service times out, and another worker takes over the pushes of a dead worker', async (t) => {
  const { service, system, ana, ben, subscribe } = await pushSystem(t)
  await subscribe()
  service.answer = 'never'
  await ben.follow(ana.id)
  await eventually(async () => (await deliveries(system))[0]?.last_error, 15)
  t.match(await deliveries(system), [{ state: 'queued', attempts: 1, last_error: /abort|timeout/i }])
  await system.pool.query('update notify.deliveries set last_error = null')
  service.answer = 201
  await hurry(system)
  await eventually(() => service.pushes.length === 1)
})

test('an endpoint in a private network is refused', async (t) => {
  const { service, system, ana, ben, subscribe } = await pushSystem(t, false)
  await subscribe()
  await ben.follow(ana.id)
  const { config, app, pool } = system
  await pool.query(
    `insert into notify.notifications (user_id, id, modseq, grown_modseq, type, expires_at) select $1, 1, 1, 1, 'system', now() + interval '1 day'`,
    [ana.id],
  )
  await pool.query(
    `insert into notify.deliveries (user_id, notification_id, channel, target, grown_modseq, due_at) select user_id, 1, 'webPush', id, 1, now() from notify.push_subscriptions`,
  )
  const agent = publicAddressesOnly()
  await sendDeliveries({ ...app, senders: createSenders(config, pool, { pushAgent: agent }) })
  agent.destroy()
  t.match(await deliveries(system), [
    { state: 'failed', last_error: 'the endpoint leads to an address that is not public' },
  ])
  t.match(
    (await ana.get('/notifications/1/why')).deliveries,
    [{ state: 'failed', lastError: 'it could not be delivered' }],
    'its owner does not learn where names lead',
  )
  t.equal(service.asked, 0)
})

test('a push endpoint must have the host and port of a known push service, when stored and when used', async (t) => {
  const { service, system, ana, ben, subscribe } = await pushSystem(t, false)
  const { keys } = service.browser()
  const answer = async (endpoint: string) =>
    (await ana.request('POST', '/push/subscriptions', { endpoint, keys })).status
  for (const endpoint of [
    'https://127.0.0.1/x',
    'https://[::1]/x',
    'https://169.254.169.254/',
    'https://me:you@fcm.googleapis.com/x',
    'https://example.com/x',
    'https://fcm.googleapis.com:8443/x',
    'https://fcm.googleapis.com.example.com/x',
    'https://evilpush.apple.com/x',
    'https://push.apple.com/x',
    'https://push.example.org:8443/x',
    'https://localhost/x',
  ])
    t.equal(await answer(endpoint), 422, endpoint)
  t.equal(await answer('http://fcm.googleapis.com/x'), 400)
  for (const endpoint of [
    'https://fcm.googleapis.com/fcm/send/x',
    'https://updates.push.services.mozilla.com/wpush/v2/x',
    'https://wns2-par02p.notify.windows.com/w/?token=x',
    'https://web.push.apple.com:443/x',
    'https://push.example.org/x',
  ])
    t.equal(await answer(endpoint), 201, endpoint)

  await subscribe(ben)
  await dueToAll(system)
  await system.pool.query(`delete from notify.deliveries where user_id <> $1`, [ben.id])
  const senders = createSenders({ ...system.config, pushHosts: [] }, system.pool, { pushAgent: service.agent })
  await sendDeliveries({ ...system.app, senders })
  t.match(
    (await deliveries(system)).filter((d) => d.user_id === ben.id),
    [{ state: 'failed', last_error: 'the endpoint is not one of a push service' }],
  )
  t.equal(service.asked, 0)

  Object.assign(service, { answer: 307, headers: { location: `${service.origin}/elsewhere` } })
  await system.pool.query(`update notify.deliveries set state = 'queued', due_at = now()`)
  const named = createSenders(system.config, system.pool, { pushAgent: service.agent })
  await sendDeliveries({ ...system.app, senders: named })
  t.match((await ben.get('/notifications/1/why')).deliveries, [
    { state: 'failed', lastError: 'it could not be delivered' },
  ])
  t.equal(service.asked, 1, 'nobody is sent elsewhere')
})

test('knowing an endpoint without its secret does not allow taking it over', async (t) => {
  const { service, system, ana, ben } = await pushSystem(t, false)
  const [browser, other] = [service.browser(), service.browser()]
  t.equal((await ana.request('POST', '/push/subscriptions', browser)).status, 201)
  const stolen = { ...other, endpoint: browser.endpoint }
  t.match(await ben.request('POST', '/push/subscriptions', stolen), { status: 422, body: { code: 'BAD_ENDPOINT' } })
  const owners = async () => (await system.pool.query('select user_id from notify.push_subscriptions')).rows
  t.same(await owners(), [{ user_id: ana.id }])
  t.equal((await ben.request('POST', '/push/subscriptions', browser)).status, 201, 'the same browser, signed in anew')
  t.same(await owners(), [{ user_id: ben.id }])
})

test("an invalid key is refused; a stored invalid key fails only its owner's push", async (t) => {
  const { service, system, ana, ben, subscribe } = await pushSystem(t, false)
  const { endpoint, keys } = service.browser()
  const p256dh = Buffer.alloc(65, 4).toString('base64url')
  t.match(await ana.request('POST', '/push/subscriptions', { endpoint, keys: { ...keys, p256dh } }), {
    status: 400,
    body: { code: 'VALIDATION_FAILED' },
  })
  for (let i = 0; i < 6; i += 1) await subscribe(ben)
  await system.pool.query('update notify.push_subscriptions set p256dh = $1', [p256dh])
  await subscribe(ana)
  await dueToAll(system)
  await sendDeliveries({
    ...system.app,
    senders: createSenders(system.config, system.pool, { pushAgent: service.agent }),
  })
  const states = (await deliveries(system)).map((d) => [d.user_id === ana.id, d.state, d.attempts])
  t.same(states.sort(), [...Array(6).fill([false, 'failed', 1]), [true, 'sent', 1]], 'their circuit is not opened')
})

test('a failing sender affects no other message', async (t) => {
  const { system, ana, ben, subscribe } = await pushSystem(t, false)
  for (const who of [ana, ben]) await subscribe(who)
  await dueToAll(system)
  const webPush: Sender = {
    async send({ userId }) {
      if (userId === ana.id) throw new Error('the inbox is busy')
      return { state: 'sent' }
    },
    close() {},
  }
  await sendDeliveries({ ...system.app, senders: { email: null, webPush } })
  const became = (await deliveries(system)).map((d) => [d.user_id, d.state, d.last_error, d.due])
  t.same(
    became.sort(),
    [
      [ana.id, 'queued', 'the inbox is busy', false],
      [ben.id, 'sent', null, null],
    ].sort(),
  )
})

/** Sends a notification to all users with subscriptions, due in each browser. */
async function dueToAll({ pool }: TestSystem): Promise<void> {
  await pool.query(
    `insert into notify.notifications (user_id, id, modseq, grown_modseq, type, expires_at)
     select distinct user_id, 1, 1, 1, 'system', now() + interval '1 day' from notify.push_subscriptions`,
  )
  await pool.query(
    `insert into notify.deliveries (user_id, notification_id, channel, target, grown_modseq, due_at)
     select user_id, 1, 'webPush', id, 1, now() from notify.push_subscriptions`,
  )
}

test('a browser belongs to the user who signed in last; others cannot take it', async (t) => {
  const { service, system, ana, ben } = await pushSystem(t)
  const browser = service.browser()
  const { id } = (await ana.request('POST', '/push/subscriptions', browser)).body
  t.equal((await ben.request('DELETE', `/push/subscriptions/${id}`)).status, 404)
  await ben.request('POST', '/push/subscriptions', browser)
  const { rows } = await system.pool.query('select user_id, reachable_by from notify.inbox order by user_id')
  t.match(rows, [{ reachable_by: [] }, { user_id: ben.id, reachable_by: ['webPush'] }, { reachable_by: [] }])
  t.equal((await ben.request('DELETE', `/push/subscriptions/${id}`)).status, 204)
  t.equal((await ben.get('/push/vapid-public-key')).publicKey, vapid.VAPID_PUBLIC_KEY)
})
