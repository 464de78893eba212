import { test } from 'tap'
import { NotificationTypes } from '../../../src/notify/types/types.ts'
import { grantAdmin } from '../../../src/social/accounts/admin.ts'
import { signIn } from '../../client.ts'
import { TestSocket } from '../../push/socket.ts'
import { settled } from '../../settled.ts'
import { eventually, setup, startSystem, type TestSystem } from '../../setup.ts'

async function adminOf({ pool, url, as }: TestSystem) {
  await as('rita')
  await grantAdmin(pool, 'rita')
  return signIn(url, 'rita')
}

test("every process applies an admin's change of a type to texts and rules", async (t) => {
  const system = await setup(t)
  await startSystem(t, system.databaseUrl, { worker: true })
  const admin = await adminOf(system)
  const [ana, ben, cem] = [await system.as('ana'), await system.as('ben'), await system.as('cem')]
  const post = await ana.post('hello')
  await ben.like(post.id)
  await settled(system)
  t.match(await ana.get('/notifications'), { items: [{ title: 'ben liked your post' }] })

  const change = {
    title: '{count, plural, =1 {{first} enjoys} other {{first} and # more enjoy}} it',
    followedPriority: null,
    channels: ['inApp', 'webPush'],
    retentionSeconds: 3600,
    instantThreshold: 1,
    windowSeconds: 60,
  }
  const answer = await admin.request('PATCH', '/admin/notification-types/post.liked', change)
  t.match(answer, { status: 200, body: { type: 'post.liked', priority: 'low', ...change } })
  t.match(answer.headers.get('ratelimit-policy'), /^"admin"/)
  const { items } = await admin.get('/admin/audit?action=notification_type.change')
  t.match(items, [{ actor: `user:${admin.id}`, before: { windowSeconds: 120 }, after: { windowSeconds: 60 } }])
  t.match(
    (await admin.get('/admin/notification-types')).items.find(({ type }: { type: string }) => type === 'post.liked'),
    change,
  )
  await eventually(async () => (await ana.get('/notifications')).items[0].title === 'ben enjoys it', 5)
  const windows = () => system.pool.query('select from notify.windows')
  await eventually(async () => {
    await cem.request('DELETE', `/posts/${post.id}/like`)
    await settled(system)
    await cem.like(post.id)
    await settled(system)
    const other = await ana.post('hello again')
    await ben.like(other.id)
    await cem.like(other.id)
    await settled(system)
    return (await windows()).rowCount
  })
})

test('an admin sets texts by locale, and each user reads their own, also on the socket', async (t) => {
  const system = await setup(t, { worker: true, push: true, windowSeconds: 0 })
  const admin = await adminOf(system)
  const [ana, ben] = [await system.as('ana'), await system.as('ben')]
  const speak = async (locale: string | null) => {
    t.match(await ana.request('PATCH', '/auth/me', { locale }), { status: 200 })
  }
  await speak('de-ch')
  const socket = await TestSocket.open(t, `${system.url.replace('http', 'ws')}/ws`)
  socket.send({ type: 'hello', token: ana.accessToken })
  await socket.next('synced')
  const post = await ana.post('hello')
  await ben.comment(post.id, 'well said')
  const german = 'ben hat deinen Beitrag kommentiert'
  t.equal((await socket.next('changes')).upserts[0]?.title, german)
  const title = async () => (await ana.get('/notifications')).items[0].title
  t.equal(await title(), german)

  const words = { pl: { title: '{first} komentuje twój post' } }
  const change = (body: object) => admin.request('PATCH', '/admin/notification-types/comment.created', body)
  t.match(await change({ words }), { status: 200, body: { words } })
  await speak('pl')
  await eventually(async () => (await title()) === 'ben komentuje twój post', 5)
  await speak('de')
  t.equal(await title(), 'ben commented on your post', 'the words are replaced as a whole')
  await speak(null)
  t.equal(await title(), 'ben commented on your post')
  for (const wrong of [
    { 'x-': {} },
    { de: { title: '{count, plural' } },
    { de: { title: '' } },
    { de: { titel: 'x' } },
  ])
    t.match(await change({ words: wrong }), { status: /4(00|22)/ }, JSON.stringify(wrong))
})

test('a process that has not read types for a long time waits for the current ones', async (t) => {
  const { pool, app } = await setup(t)
  const types = new NotificationTypes(pool, app.log)
  t.equal((await types.current())('post.liked').windowSeconds, 120)
  await pool.query(`update notify.types set window_seconds = 7 where type = 'post.liked'`)
  const { now } = performance
  t.teardown(() => Object.assign(performance, { now }))
  performance.now = () => now.call(performance) + 60_000
  t.equal((await types.current())('post.liked').windowSeconds, 7)
})

test('invalid texts and rules are refused', async (t) => {
  const system = await setup(t)
  const admin = await adminOf(system)
  const { items: before } = await admin.get('/admin/notification-types')
  const patch = (body: object, type = 'post.liked') => admin.request('PATCH', `/admin/notification-types/${type}`, body)
  for (const [body, pattern] of [
    [{ title: '{count, plural, one {x}' }, /title/],
    [{ title: '{count, plural, one {#}}' }, /title/],
    [{ title: '{frist} liked your post' }, /frist/],
    [{ title: null }, /requires a title/],
    [{ title: '{second}' }, /nothing is left/],
    [{ url: 'javascript:alert(1)' }, /link/],
    [{ url: '//evil.example/{postId}' }, /link/],
    [{ url: '{actorId}' }, /link|nothing/],
    [{ body: 'fine', fallback: '{first' }, /fallback/],
  ] as const)
    t.match(await patch(body), { status: 422, body: { code: 'BAD_TEMPLATE', detail: pattern } }, JSON.stringify(body))
  for (const body of [
    {},
    { windowSeconds: -1 },
    { windowSeconds: 90_000 },
    { jitter: 2 },
    { maxGroupSize: 0 },
    { dnd: 'loud' },
    { priority: 'urgent' },
    { channels: ['pigeon'] },
    { channels: ['email', 'email'] },
    { retentionSeconds: 0 },
    { title: '' },
    { type: 'other' },
    { colour: 'red' },
  ])
    t.match(await patch(body), { status: 400, body: { code: 'VALIDATION_FAILED' } }, JSON.stringify(body))
  t.match(await patch({ jitter: 0 }, 'post.loathed'), { status: 404, body: { code: 'NOTIFICATION_TYPE_NOT_FOUND' } })
  t.same((await admin.get('/admin/notification-types')).items, before)
})

test('a type of sends can use its own data in texts', async (t) => {
  const system = await setup(t, { worker: true })
  const admin = await adminOf(system)
  const ana = await system.as('ana')
  await system.pool.query(`insert into notify.types (type) values ('shop.shipped')`)
  const change = {
    title: 'Order {order} has {parcels, plural, one {# parcel} other {# parcels}}',
    url: '/orders/{order}',
  }
  t.match(await admin.request('PATCH', '/admin/notification-types/shop.shipped', change), { status: 200 })
  await system.pool.query(
    `select notify.emit('shop.shipped', array[$1::bigint], 'o7', data => '{"order": "7", "parcels": 2}')`,
    [ana.id],
  )
  await settled(system)
  await eventually(async () => (await ana.get('/notifications')).items[0]?.title === 'Order 7 has 2 parcels')
  const endless = { order: 'x'.repeat(3000), parcels: 1 }
  await system.pool.query(`select notify.emit('shop.shipped', array[$1::bigint], 'o8', data => $2)`, [ana.id, endless])
  await settled(system)
  const { items } = await ana.get('/notifications')
  t.equal([...items[0].title].length, 200, 'no title is longer')
  const first = await admin.get('/admin/notification-types?limit=3')
  const second = await admin.get(`/admin/notification-types?limit=100&cursor=${first.nextCursor}`)
  t.equal(first.items.length + second.items.length, 8)
  t.equal(second.nextCursor, null)
})
