import { type Test, test } from 'tap'
import { grantAdmin } from '../../../src/social/accounts/admin.ts'
import { type Answer, call, signIn } from '../../client.ts'
import { settled } from '../../settled.ts'
import { type Options, setup, type TestSystem } from '../../setup.ts'
import { makeUsers } from '../dispatch/events.ts'

type Send = (path: string, body: object, key?: string) => Promise<Answer>

/** A system with an admin, and a client with a service token. */
async function withService(t: Test, options: Options = {}, scopes = ['notifications:send']) {
  const system = await setup(t, options)
  await system.as('rita')
  await grantAdmin(system.pool, 'rita')
  const admin = await signIn(system.url, 'rita')
  const made = await admin.request('POST', '/service-tokens', { name: 'shop', scopes })
  const asService = (token: string) => serviceOf(system, token)
  return { ...system, admin, tokenId: String(made.body.id), token: String(made.body.token), asService }
}

function serviceOf({ url }: TestSystem, token: string) {
  const authorization = `Bearer ${token}`
  let keys = 0
  const send: Send = (path, body, key = `key-${token.slice(-6)}-${keys++}`) =>
    call(url, 'POST', path, body, { authorization, ...(key ? { 'idempotency-key': key } : {}) })
  const get = (path: string) => call(url, 'GET', path, undefined, { authorization })
  return { send, get }
}

const words = { title: 'Hello', message: 'Your order is on its way' }

test("a notification sent by a service arrives unchanged, and the send's progress counts users", async (t) => {
  const system = await withService(t, { worker: true })
  const { send, get } = system.asService(system.token)
  const ana = await system.as('ana')
  const answer = await send('/notifications/send', {
    recipientId: ana.id,
    type: 'order.shipped',
    ...words,
    url: '/orders/77',
    data: { order: 77 },
    priority: 'high',
    severity: 'success',
    groupKey: 'orders',
    sourceId: 'order:77',
    expiresIn: 3600,
  })
  t.match(answer, { status: 202, body: { sendId: String, total: 1, accepted: 1, duplicates: 0 } })
  await settled(system)
  const [item] = (await ana.get('/notifications')).items
  t.match(item, {
    type: 'order.shipped',
    title: 'Hello',
    body: words.message,
    url: '/orders/77',
    data: { order: 77 },
    priority: 'high',
    severity: 'success',
    actorCount: 0,
  })
  const hour = Date.parse(item.expiresAt) - Date.parse(item.createdAt)
  t.ok(hour > 3_590_000 && hour < 3_610_000, 'it expires when it was asked to')
  const path = `/notifications/sends/${answer.body.sendId}`
  t.match((await get(path)).body, { total: 1, stored: 1, delivered: 0, read: 0, filtered: 0, failed: 0 })
  await ana.request('PATCH', `/notifications/${item.id}/read`)
  t.match((await get(path)).body, { stored: 1, delivered: 1, read: 1 })
  t.match((await ana.get(`/notifications/${item.id}/why`)).decisions, [
    { channel: 'inApp', decision: 'allow', decidedBy: 'typeDefault' },
    { channel: 'email' },
    { channel: 'webPush' },
  ])
})

test('an Idempotency-Key runs a send once, and a source id notifies once', async (t) => {
  const system = await withService(t)
  const { send } = system.asService(system.token)
  const ana = await system.as('ana')
  const body = { recipientId: ana.id, ...words }
  t.match(await send('/notifications/send', body, ''), { status: 400, body: { code: 'IDEMPOTENCY_KEY_REQUIRED' } })
  const first = await send('/notifications/send', body, 'k1')
  const again = await send('/notifications/send', body, 'k1')
  t.same([again.status, again.body], [first.status, first.body])
  t.equal(again.headers.get('idempotent-replayed'), 'true')
  t.equal(first.headers.get('idempotent-replayed'), null)
  t.match(await send('/notifications/send', { ...body, title: 'Other' }, 'k1'), {
    status: 422,
    body: { code: 'IDEMPOTENCY_KEY_REUSED' },
  })
  t.match(await send('/notifications/send', { ...body, type: 'post.liked' }, 'k2'), { status: 400 })
  t.match(await send('/notifications/send', body, 'k2'), { status: 202 }, 'a refusal is not kept')
  const both = await Promise.all([1, 2, 3, 4].map(() => send('/notifications/send', { ...body, title: 'Race' }, 'k3')))
  t.ok(
    both.every(({ status }) => [202, 409].includes(status)),
    String(both.map(({ status }) => status)),
  )
  const written = async () =>
    (await system.pool.query<{ n: number }>(`select count(*)::int as n from notify.outbox where action = 'send'`))
      .rows[0]?.n
  t.equal(await written(), 3, 'three sends happened')

  t.match((await send('/notifications/send', { ...body, sourceId: 's' })).body, { accepted: 1, duplicates: 0 })
  t.match((await send('/notifications/send/batch', { recipientIds: [ana.id, ana.id], ...words, sourceId: 's' })).body, {
    total: 1,
    accepted: 0,
    duplicates: 1,
  })
  t.equal(await written(), 4)
  const made = await system.admin.request('POST', '/service-tokens', { name: 'other', scopes: ['notifications:send'] })
  const other = system.asService(made.body.token)
  t.match(
    (await other.send('/notifications/send', { ...body, sourceId: 's' })).body,
    { accepted: 1 },
    'another sender has source ids of its own',
  )
  t.match(await other.send('/notifications/send', body, 'k1'), { status: 202 }, 'and keys of its own')
})

test('only admins and services with a valid token send, and a service sees only its own sends', async (t) => {
  const system = await withService(t)
  const ana = await system.as('ana')
  const body = { recipientId: ana.id, ...words }
  const service = system.asService(system.token)
  const { sendId } = (await service.send('/notifications/send', body)).body
  t.equal((await system.admin.request('GET', `/notifications/sends/${sendId}`)).status, 200)
  const fromAdmin = (await system.admin.request('POST', '/notifications/send', body, { 'idempotency-key': 'a' })).body
  t.match(await service.get(`/notifications/sends/${fromAdmin.sendId}`), {
    status: 404,
    body: { code: 'SEND_NOT_FOUND' },
  })
  t.equal((await service.get('/notifications')).status, 401, 'a service has no inbox')
  t.equal((await service.get('/service-tokens')).status, 401)
  const { rows } = await system.pool.query(
    'select name, position($1::bytea in token_hash) as found from social.service_tokens',
    [system.token],
  )
  t.same(rows, [{ name: 'shop', found: 0 }], 'the token is not stored')
  t.match((await system.admin.get('/service-tokens')).items, [{ id: system.tokenId, name: 'shop', revokedAt: null }])
  t.equal((await system.admin.request('DELETE', `/service-tokens/${system.tokenId}`)).status, 204)
  t.equal((await service.send('/notifications/send', body)).status, 401, 'revoked')
  t.equal((await system.asService('rp_guess').send('/notifications/send', body)).status, 401)
  t.equal((await ana.request('POST', '/notifications/send', body, { 'idempotency-key': 'b' })).status, 403)
})

test('critical notifications need an admin or a service with that scope, also when the type is critical', async (t) => {
  const system = await withService(t)
  const { send } = system.asService(system.token)
  const ana = await system.as('ana')
  const [one, many] = [
    { recipientId: ana.id, ...words },
    { recipientIds: [ana.id], ...words },
  ]
  const refused = { status: 403, body: { code: 'FORBIDDEN' } }
  t.match(await send('/notifications/send', { ...one, priority: 'critical' }), refused)
  t.match(await send('/notifications/send/batch', { ...many, priority: 'critical' }), refused)
  await system.pool.query(
    `insert into notify.types (type, priority, followed_priority) values
       ('pager.alarm', 'critical', null), ('pager.friend', 'normal', 'critical')`,
  )
  for (const type of ['pager.alarm', 'pager.friend'])
    for (const priority of [undefined, 'low'])
      t.match(await send('/notifications/send', { ...one, type, priority }), refused, `${type} ${priority}`)
  t.equal((await send('/notifications/send', { ...one, priority: 'high' })).status, 202)
  const pager = { name: 'pager', scopes: ['notifications:send', 'notifications:critical'] }
  const allowed = system.asService((await system.admin.request('POST', '/service-tokens', pager)).body.token)
  t.equal((await allowed.send('/notifications/send', { ...one, priority: 'critical' })).status, 202)
  t.equal((await allowed.send('/notifications/send/batch', { ...many, type: 'pager.alarm' })).status, 202)
  const byAdmin = await system.admin.request(
    'POST',
    '/notifications/send',
    { ...one, priority: 'critical' },
    { 'idempotency-key': 'critical' },
  )
  t.equal(byAdmin.status, 202)
  await system.pool.query(`update notify.types set priority = 'critical' where type = 'system'`)
  t.match(await send('/notifications/send', { ...one, type: 'not.described' }), refused, 'treated like system')
})

test('invalid sends are refused, and unknown recipients are reported separately', async (t) => {
  const system = await withService(t)
  const { send, get } = system.asService(system.token)
  const ana = await system.as('ana')
  const body = { recipientId: ana.id, ...words }
  for (const wrong of [
    { type: 'post.liked' },
    { type: 'nodot' },
    { url: 'javascript:alert(1)' },
    { data: { a: 'x'.repeat(8192) } },
    { title: 'x'.repeat(201) },
    { message: 'x'.repeat(2001) },
    { expiresIn: 0 },
    { priority: 'urgent' },
    { more: true },
  ])
    t.match(
      await send('/notifications/send', { ...body, ...wrong }),
      { status: 400, body: { code: 'VALIDATION_FAILED' } },
      JSON.stringify(wrong).slice(0, 40),
    )
  t.match(await send('/notifications/send', { ...body, recipientId: '999999' }), {
    status: 404,
    body: { code: 'USER_NOT_FOUND' },
  })
  const toTwo = { recipientIds: [ana.id, '999999', ana.id], ...words }
  const sent = (await send('/notifications/send/batch', toTwo)).body
  t.match(sent, { total: 2, accepted: 1, duplicates: 0 }, 'each recipient counts once')
  t.match((await get(`/notifications/sends/${sent.sendId}`)).body, { total: 2 }, 'and so does the progress')
  const tooMany = Array.from({ length: 10_001 }, (_, i) => String(i + 1))
  t.equal((await send('/notifications/send/batch', { recipientIds: tooMany, ...words })).status, 400)
  t.equal((await system.pool.query('select from notify.outbox')).rowCount, 1)
})

test('one call notifies 10,000 users, and a concurrent like does not wait', async (t) => {
  const system = await withService(t, { worker: true }, ['notifications:send', 'notifications:critical'])
  const { send, get } = system.asService(system.token)
  const [ana, ben] = [await system.as('ana'), await system.as('ben')]
  const post = await ana.post('hello')
  const recipientIds = await makeUsers(
    system.app,
    Array.from({ length: 10_000 }, (_, i) => `n${i}`),
  )
  const sent = await send('/notifications/send/batch', { recipientIds, ...words, priority: 'low' })
  t.match(sent, { status: 202, body: { total: 10_000, accepted: 10_000, duplicates: 0 } })
  await ben.like(post.id)
  const critical = await send('/notifications/send', { recipientId: ben.id, ...words, priority: 'critical' })
  t.equal(critical.status, 202)
  await settled(system, 60)
  t.match((await get(`/notifications/sends/${sent.body.sendId}`)).body, { total: 10_000, stored: 10_000, failed: 0 })
  t.match((await ana.get('/notifications')).items, [{ type: 'post.liked' }])
  const { rows } = await system.pool.query('select source_id from notify.outbox where critical')
  t.same(rows, [{ source_id: `send:new:${critical.body.sendId}` }], 'the critical one went by its own lane')
})
