import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { Webhook } from 'standardwebhooks'
import { type Test, test } from 'tap'
import { inTransaction } from '../../../src/db/transaction.ts'
import { queueBroadcastFinished } from '../../../src/notify/webhooks/queue.ts'
import { grantAdmin } from '../../../src/social/accounts/admin.ts'
import { purge } from '../../../src/worker/retention.ts'
import { call, signIn, type TestClient } from '../../client.ts'
import { eventually, type Options, setup } from '../../setup.ts'
import { startPushService, vapid } from '../channels/push-service.ts'

/** A system with an admin. */
async function withAdmin(t: Test, options: Options = {}) {
  const system = await setup(t, options)
  await system.as('rita')
  await grantAdmin(system.pool, 'rita')
  return { ...system, admin: await signIn(system.url, 'rita') }
}

/** Messages that wait for a slow endpoint; ops.webhooks counts half of them. */
const MANY = 20_000

const URL_OF_SHOP = 'https://shop.example/hooks'

async function make(admin: TestClient, url: string, events: string[], description?: string) {
  const { status, body } = await admin.request('POST', '/webhooks', { url, events, description })
  if (status !== 201) throw new Error(JSON.stringify(body))
  return body as { id: string; secret: string }
}

test('admins and services with the scope manage webhooks, and a secret is shown once', async (t) => {
  const { admin, as, url } = await withAdmin(t, { env: { WEBHOOK_HOSTS: 'app.internal, 10.0.0.5:8080' } })
  const ana = await as('ana')
  const made = await admin.request('POST', '/webhooks', { url: URL_OF_SHOP, events: ['notification.read'] })
  t.equal(made.status, 201)
  t.match(made.body, { id: String, secret: /^whsec_[\w+/]{43}=$/ })
  t.same(Object.keys(made.body), ['id', 'secret'])
  const shown = await admin.get(`/webhooks/${made.body.id}`)
  t.match(shown, {
    id: made.body.id,
    url: URL_OF_SHOP,
    events: ['notification.read'],
    description: null,
    enabled: true,
    disabledAt: null,
    disabledBecause: null,
    failingSince: null,
    lastError: null,
  })
  t.notOk(JSON.stringify(shown).includes('whsec_'))
  const change = { events: ['delivery.failed'], description: 'Shop', enabled: false }
  const changed = await admin.request('PATCH', `/webhooks/${made.body.id}`, change)
  t.match(changed, {
    status: 200,
    body: { ...change, url: URL_OF_SHOP, disabledBecause: 'byHand', disabledAt: String },
  })
  t.match(await admin.request('POST', `/webhooks/${made.body.id}/test`), {
    status: 409,
    body: { code: 'WEBHOOK_DISABLED' },
  })
  const enabled = await admin.request('PATCH', `/webhooks/${made.body.id}`, { enabled: true })
  t.match(enabled.body, { ...change, enabled: true, disabledBecause: null, disabledAt: null })

  const token = await admin.request('POST', '/service-tokens', { name: 'shop', scopes: ['webhooks'] })
  const authorization = `Bearer ${token.body.token}`
  const byService = await call(
    url,
    'POST',
    '/webhooks',
    { url: 'http://10.0.0.5:8080/hooks', events: ['dead_letter.created'] },
    { authorization },
  )
  t.equal(byService.status, 201, 'also where WEBHOOK_HOSTS says so')
  t.equal((await make(admin, 'https://app.internal/hooks', ['broadcast.finished'], 'App')).secret.length, 50)
  const first = await admin.get('/webhooks?limit=2')
  const second = await admin.get(`/webhooks?limit=2&cursor=${first.nextCursor}`)
  const urls = [...first.items, ...second.items].map((item: { url: string }) => item.url)
  t.same(urls, ['https://app.internal/hooks', 'http://10.0.0.5:8080/hooks', URL_OF_SHOP])
  t.equal((await ana.request('GET', '/webhooks')).status, 403)

  for (const refused of [
    'http://shop.example/hooks',
    'https://10.0.0.5/hooks',
    'https://[::1]/hooks',
    'https://ana:secret@shop.example/',
    'http://10.0.0.5:8081/hooks',
    'http://app.internal:8080/',
  ]) {
    const answer = await admin.request('POST', '/webhooks', { url: refused, events: ['notification.read'] })
    t.match(answer, { status: 422, body: { code: 'WEBHOOK_URL_REFUSED' } }, refused)
    t.equal((await admin.request('PATCH', `/webhooks/${made.body.id}`, { url: refused })).status, 422)
  }
  for (const body of [
    { url: URL_OF_SHOP, events: [] },
    { url: URL_OF_SHOP, events: ['post.liked'] },
    { url: 'ftp://shop.example', events: ['notification.read'] },
    { url: URL_OF_SHOP },
  ])
    t.equal((await admin.request('POST', '/webhooks', body)).status, 400, JSON.stringify(body))
  t.equal((await admin.request('DELETE', `/webhooks/${made.body.id}`)).status, 204)
  for (const [method, path] of [
    ['GET', ''],
    ['PATCH', ''],
    ['DELETE', ''],
    ['POST', '/rotate-secret'],
    ['POST', '/test'],
    ['GET', '/deliveries'],
    ['POST', '/deliveries/1/retry'],
  ] as const)
    t.match(
      await admin.request(method, `/webhooks/${made.body.id}${path}`, method === 'PATCH' ? {} : undefined),
      { status: 404, body: { code: 'WEBHOOK_NOT_FOUND' } },
      `${method} ${path}`,
    )
})

type Received = {
  headers: Record<string, string>
  body: { type: string; timestamp: string; data: Record<string, unknown> }
  raw: string
}

/** An endpoint on loopback. `answer` is a status with headers, or `never`. */
class Receiver {
  received: Received[] = []
  answer: [status: number, headers?: Record<string, string>] | 'never' = [204]
  url = ''

  static async start(t: Test): Promise<Receiver> {
    const receiver = new Receiver()
    const server = http.createServer(async (request, response) => {
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(chunk)
      const raw = Buffer.concat(chunks).toString()
      receiver.received.push({ headers: request.headers as Record<string, string>, body: JSON.parse(raw), raw })
      if (receiver.answer !== 'never') response.writeHead(...receiver.answer).end('thank you')
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    receiver.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hooks`
    t.teardown(() => {
      server.closeAllConnections()
      server.close()
    })
    return receiver
  }

  has(text: string): boolean {
    return this.received.some(({ raw }) => raw.includes(text))
  }

  get types(): string[] {
    return this.received.map(({ body }) => body.type)
  }
}

const hostsOf = (...receivers: Receiver[]) => receivers.map(({ url }) => new URL(url).host).join(',')

const CHANGES = ['notification.created', 'notification.updated', 'notification.read', 'notification.removed']

test('events are sent after their commit and verify with the reference library', async (t) => {
  const receiver = await Receiver.start(t)
  const env = { WEBHOOK_HOSTS: hostsOf(receiver) }
  const { admin, as, pool, app } = await withAdmin(t, { env, worker: true, windowSeconds: 0 })
  const [ana, ben, cem] = [await as('ana'), await as('ben'), await as('cem')]
  const post = await ana.post('Hello')
  await ben.follow(ana.id)
  await eventually(async () => (await ana.get('/notifications/unread-count')).unreadCount === 1)
  t.equal((await pool.query('select from notify.webhook_deliveries')).rowCount, 0, 'nothing is written without one')
  await pool.query(`update social.users set external_id = 'shop|ana' where id = $1`, [ana.id])

  const { id, secret } = await make(admin, receiver.url, [...CHANGES, 'dead_letter.created', 'broadcast.finished'])
  await ben.like(post.id)
  const created = await eventually(() => receiver.received[0])
  const now = (await ana.get('/notifications')).items[0]
  t.same(new Webhook(secret).verify(created.raw, created.headers), created.body)
  t.match(created.headers, {
    'content-type': 'application/json',
    'webhook-id': /^msg_\w+$/,
    'webhook-timestamp': /^\d{10}$/,
  })
  t.same(created.body, {
    type: 'notification.created',
    timestamp: created.body.timestamp,
    data: { userId: ana.id, externalId: 'shop|ana', notificationId: now.id, notification: now },
  })
  await cem.like(post.id)
  await eventually(() => receiver.types.includes('notification.updated'))
  await ana.request('PATCH', `/notifications/${now.id}/read`)
  await eventually(() => receiver.types.includes('notification.read'))
  await ana.request('DELETE', `/notifications/${now.id}`)
  await eventually(() => receiver.types.includes('notification.removed'))
  t.same(receiver.types, CHANGES)
  t.ok(JSON.parse(receiver.received[2]?.raw ?? '').data.notification.readAt, 'as it is now')
  t.same(receiver.received[3]?.body.data, { userId: ana.id, externalId: 'shop|ana', notificationId: now.id })
  t.equal(new Set(receiver.received.map(({ headers }) => headers['webhook-id'])).size, 4)

  const { rows } = await pool.query(
    `insert into notify.pending (consumer, event_id, recipient_id, event, attempts)
     values ('notifications', 999999, $1, '{"sourceId": "like:1:1"}', 11) returning id`,
    [ana.id],
  )
  const dead = await eventually(() => receiver.received.find(({ body }) => body.type === 'dead_letter.created'))
  t.match(dead.body.data, {
    userId: ana.id,
    deadLetterId: rows[0].id,
    consumer: 'notifications',
    sourceId: 'like:1:1',
    error: /malformed/,
  })

  const counts = { total: 3, stored: 2, filtered: 0, suppressed: 1, failed: 0 }
  const broadcast = { broadcastId: '7', name: 'Spring', state: 'finished' as const, ...counts }
  await inTransaction(pool, (client) => queueBroadcastFinished(client, broadcast))
  const ended = await eventually(() => receiver.received.find(({ body }) => body.type === 'broadcast.finished'))
  t.same(ended.body.data, broadcast)

  const rotated = await admin.request('POST', `/webhooks/${id}/rotate-secret`)
  t.match(rotated.body, { secret: /^whsec_/ })
  const { rows: lives } = await pool.query(
    `select extract(epoch from expires_at - now()) / 3600 as hours from notify.webhook_secrets where expires_at is not null`,
  )
  t.ok(Math.abs(Number(lives[0].hours) - 24) < 0.1, `the old secret signs for ${lives[0].hours} hours`)
  const { deliveryId } = (await admin.request('POST', `/webhooks/${id}/test`)).body
  const tested = await eventually(() => receiver.received.find(({ body }) => body.type === 'webhook.test'))
  for (const valid of [secret, rotated.body.secret]) t.ok(new Webhook(valid).verify(tested.raw, tested.headers))
  const listed = async () => (await admin.get(`/webhooks/${id}/deliveries`)).items
  t.match(
    (
      await eventually(
        async () => (await listed()).every(({ state }: { state: string }) => state === 'sent') && listed(),
      )
    )[0],
    {
      id: deliveryId,
      messageId: tested.headers['webhook-id'],
      event: 'webhook.test',
      attempts: 1,
      status: 204,
    },
  )
  await pool.query(`update notify.webhook_secrets set expires_at = now() where expires_at is not null`)
  t.equal((await admin.request('POST', `/webhooks/${id}/deliveries/${deliveryId}/retry`)).status, 202)
  const again = await eventually(() => receiver.received.filter(({ body }) => body.type === 'webhook.test')[1])
  t.equal(again.headers['webhook-id'], tested.headers['webhook-id'], 'a retry has the same id')
  t.ok(new Webhook(rotated.body.secret).verify(again.raw, again.headers))
  t.throws(() => new Webhook(secret).verify(again.raw, again.headers), 'after a day the old secret is gone')

  await pool.query(`update notify.webhook_deliveries set created_at = now() - interval '31 days'`)
  await purge(app)
  t.equal((await pool.query('select from notify.webhook_deliveries')).rowCount, 0, 'retention')
})

test('a permanently failed mail or push is an event and delays no other message', async (t) => {
  const [receiver, service] = [await Receiver.start(t), await startPushService(t)]
  const env = { ...vapid, WEBHOOK_HOSTS: hostsOf(receiver) }
  // Less than the lease of a message, and enough for the push on a slow machine.
  const senders = { pushAgent: service.agent, timeoutMs: 50_000 }
  const { admin, as } = await withAdmin(t, { env, worker: true, windowSeconds: 0, senders })
  const [ana, ben] = [await as('ana'), await as('ben')]
  const { id } = await make(admin, receiver.url, ['delivery.failed'])
  receiver.answer = 'never'
  await admin.request('POST', `/webhooks/${id}/test`)
  await eventually(() => receiver.received.length === 1)
  receiver.answer = [204]
  await ana.request('POST', '/push/subscriptions', service.browser())
  service.answer = 413
  await ben.follow(ana.id)
  const failed = await eventually(() => receiver.received[1], 40)
  t.match(failed.body, {
    type: 'delivery.failed',
    data: {
      userId: ana.id,
      notificationId: '1',
      channel: 'webPush',
      state: 'failed',
      error: 'the push service answered 413',
    },
  })
})

test('slow, redirecting, limiting, gone, private and backlogged endpoints delay no others', async (t) => {
  const receivers = await Promise.all(Array.from({ length: 7 }, () => Receiver.start(t)))
  const [good, slow, redirecting, limiting, gone, failing, overloaded] = receivers as [
    Receiver,
    Receiver,
    Receiver,
    Receiver,
    Receiver,
    Receiver,
    Receiver,
  ]
  const env = { WEBHOOK_HOSTS: hostsOf(...receivers) }
  const senders = { timeoutMs: 3000 }
  const { admin, as, pool, url } = await withAdmin(t, { env, worker: true, windowSeconds: 0, senders })
  slow.answer = 'never'
  redirecting.answer = [302, { location: good.url }]
  limiting.answer = [429, { 'retry-after': '3600' }]
  gone.answer = [410]
  failing.answer = [500]
  overloaded.answer = [500, { 'retry-after': '3600' }]
  const ids = new Map<string, string>()
  const hooks = { good, slow, redirecting, limiting, gone, failing, overloaded }
  for (const [name, hook] of Object.entries(hooks)) ids.set(name, (await make(admin, hook.url, CHANGES, name)).id)
  // The first does not answer; the second is a name for loopback, which is not public.
  ids.set('private', (await make(admin, 'https://localhost/hooks', CHANGES, 'private')).id)
  await pool.query(
    `insert into notify.webhook_deliveries (webhook_id, event, recipient_id, notification_id)
     select $1, 'notification.updated', 1, 1 from generate_series(1, $2::int)`,
    [ids.get('slow'), MANY],
  )
  const [ana, ben, cem] = [await as('ana'), await as('ben'), await as('cem')]
  await eventually(() => slow.received.length > 0)
  await ben.follow(ana.id)
  await eventually(() => good.has('user.followed'))
  const post = await ana.post('Hello')
  await ben.like(post.id)
  await eventually(() => good.has('post.liked'))
  t.ok(slow.received.length <= 20, `${slow.received.length} were sent to the slow one`)

  const shown = (name: string) => admin.get(`/webhooks/${ids.get(name)}`)
  const messages = async (name: string) => (await admin.get(`/webhooks/${ids.get(name)}/deliveries`)).items
  const lastOf = (name: string, error: RegExp) =>
    eventually(async () => (await messages(name)).find((one: { lastError: string }) => error.test(one.lastError ?? '')))
  t.match(await lastOf('redirecting', /answered 302; redirects are not followed/), {
    state: /queued|sending/,
    status: 302,
  })

  t.match(await lastOf('private', /an address that is not public/), { status: null })
  const limited = await lastOf('limiting', /answered 429/)
  t.ok(Date.parse(limited.dueAt) > Date.now() + 3_000_000, 'Retry-After is obeyed')
  t.ok(Date.parse((await shown('limiting')).pausedUntil) > Date.now() + 3_000_000)
  t.ok(Date.parse((await lastOf('overloaded', /answered 500/)).dueAt) > Date.now() + 3_000_000, 'with any status')
  t.match(await lastOf('gone', /answered 410/), { state: 'failed', status: 410 })
  t.match(await shown('gone'), { enabled: false, disabledBecause: 'gone' })
  const unanswered = `select from notify.webhook_deliveries where webhook_id = $1 and last_error like 'no answer within %'`
  await eventually(async () => (await pool.query(unanswered, [ids.get('slow')])).rowCount)
  t.match(await shown('slow'), { enabled: true, failingSince: String })

  const first = await eventually(async () =>
    (await messages('failing')).find((one: { attempts: number }) => one.attempts > 0),
  )
  // In one transaction, because the next attempt may disable the endpoint.
  await inTransaction(pool, async (client) => {
    await client.query(
      `update notify.webhooks set enabled_at = now() - interval '4 days', failing_since = now() - interval '73 hours', paused_until = null where id = $1`,
      [ids.get('failing')],
    )
    await client.query(
      `update notify.webhook_deliveries
       set tried_at = now() - interval '73 hours', due_at = case state when 'queued' then now() else due_at end where webhook_id = $1`,
      [ids.get('failing')],
    )
  })
  await eventually(async () => (await shown('failing')).disabledBecause === 'failing')
  await eventually(async () => (await messages('failing')).some((one: { state: string }) => one.state === 'failed'))
  const notification = await eventually(async () =>
    (await admin.get('/notifications?type=system')).items.find((item: { body: string }) =>
      /nothing for three days/.test(item.body),
    ),
  )
  t.match(notification, {
    title: 'A webhook was disabled',
    severity: 'warning',
    data: { webhookId: ids.get('failing'), because: 'failing' },
  })
  const before = (await messages('failing')).length
  await cem.follow(ana.id)
  await eventually(() => good.has('cem'))
  t.equal((await messages('failing')).length, before, 'nothing is queued for a disabled one')

  failing.answer = [200]
  const asked = failing.received.length
  t.equal((await admin.request('PATCH', `/webhooks/${ids.get('failing')}`, { enabled: true })).status, 200)
  const recovered = await admin.request('POST', `/webhooks/${ids.get('failing')}/recover`, {
    since: new Date(Date.now() - 3_600_000).toISOString(),
  })
  t.match(recovered, { status: 200 })
  t.ok(recovered.body.recovered > 0)
  await eventually(async () => (await messages('failing')).every((one: { state: string }) => one.state === 'sent'))
  t.ok(
    failing.received.slice(asked).some(({ headers }) => headers['webhook-id'] === first.messageId),
    'with the same id',
  )
  t.match(await shown('failing'), { enabled: true, failingSince: null })
  const states = ['enabled', 'failing', 'failing', 'failing', 'disabled', 'enabled', 'failing', 'failing']
  const rows = await eventually(async () => {
    const { rows } = await pool.query('select id, state, host, waiting from ops.webhooks order by id')
    // On a slow machine the good one may have missed its three seconds until its next attempt.
    return rows.every(({ state }, place) => state === states[place]) && rows
  })
  t.equal(rows[1].waiting, '10001', 'that many or more')
  const metrics = await (await fetch(`${url}/metrics`)).text()
  t.match(metrics, /^ravenpost_webhook_deliveries_waiting 1\d{4}$/m)
  t.match(metrics, /^ravenpost_webhooks_disabled 1$/m)
  t.match(metrics, /^ravenpost_webhook_attempts_total\{outcome="sent"\} \d+$/m)
})
