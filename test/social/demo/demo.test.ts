import { test } from 'tap'
import { call, signIn } from '../../client.ts'
import { flushed, noDrift, settled } from '../../settled.ts'
import { eventually, setup } from '../../setup.ts'

test('simulated users act through the whole pipeline, and the cleanup removes them completely', async (t) => {
  const system = await setup(t, { worker: true, push: true, env: { DEMO: 'true' } })
  const { pool } = system
  const ana = await system.as('ana')
  const { id } = await ana.post('Good morning')
  const simulate = async (body: object) => (await ana.request('POST', `/demo/posts/${id}/simulate`, body)).body
  const state = () => ana.get(`/demo/posts/${id}/simulate`)

  t.match(await simulate({}), {
    likes: { type: 'post.liked', instantThreshold: 3, windowSeconds: 120, delivered: 0, waiting: 0, flushesAt: null },
    comments: { type: 'comment.created', instantThreshold: 0, windowSeconds: 60 },
  })
  await simulate({ likes: 8, comments: 2, from: 'followers' })
  await settled(system)
  const gathered = await state()
  t.match(gathered, { likes: { delivered: 3, waiting: 5 }, comments: { delivered: 0, waiting: 2 } })
  t.ok(Date.parse(gathered.likes.flushesAt) > Date.now(), 'the end of the window is named')
  t.match(await ana.get(`/posts/${id}`), { likeCount: 8, commentCount: 2 })
  t.match(await ana.get(`/users/${ana.id}`), { followerCount: 8, followingCount: 8 })
  t.same((await ana.get('/notifications?type=user.followed')).items, [], 'their follows notify nobody')

  const before = await pool.query('select from social.users')
  await simulate({ likes: 15, comments: 10, from: 'strangers' })
  t.equal((await pool.query('select from social.users')).rowCount, Number(before.rowCount) + 15, 'strangers are others')
  await flushed(system)
  t.match((await state()).likes, { delivered: 23, waiting: 0, flushesAt: null })
  t.match((await ana.get('/notifications?type=post.liked')).items, [{ actorCount: 23 }])

  await simulate({ follows: 2 })
  await settled(system)
  t.match(await ana.get(`/users/${ana.id}`), { followerCount: 10, followingCount: 8 })
  t.match((await ana.get('/notifications?type=user.followed')).items, [{ actorCount: 2 }], 'these follows notify')

  const ben = await system.as('ben')
  t.match((await ben.get(`/demo/posts/${id}/simulate`)).likes, { delivered: 0, waiting: 0 }, 'only to the author')
  t.match((await ben.request('DELETE', '/demo/simulated-users')).body, { removed: 25 })
  await settled(system)
  // On a machine that is busy with other tests the worker may need longer than a request waits.
  await eventually(async () => {
    await ben.request('DELETE', '/demo/simulated-users')
    return (await pool.query('select from social.demo_users')).rowCount === 0
  })
  t.match(await ana.get(`/posts/${id}`), { likeCount: 0, commentCount: 0 })
  t.match(await ana.get('/notifications'), { items: [], unreadCount: 0 })
  t.match(await ana.get(`/users/${ana.id}`), { followerCount: 0, followingCount: 0 })
  t.same((await pool.query('select username from social.users order by id')).rows, [
    { username: 'ana' },
    { username: 'ben' },
  ])
  t.equal((await pool.query('select from social.comments')).rowCount, 0)
  await noDrift(t, system)

  await ana.request('POST', '/demo/notify', { userId: ana.id, kind: 'critical' })
  await pool.query(`update social.users set external_id = 'shop-1' where id = $1`, [ana.id])
  t.equal((await ana.request('POST', '/demo/notify', { externalId: 'shop-1', kind: 'send' })).status, 202)
  for (const who of [{}, { userId: ana.id, externalId: 'shop-1' }])
    t.match(await ana.request('POST', '/demo/notify', { ...who, kind: 'send' }), { status: 400 })
  t.match(await ana.request('POST', '/demo/notify', { externalId: 'shop-2', kind: 'send' }), { status: 404 })
  const received = await eventually(async () => {
    const { items } = await ana.get('/notifications')
    return items.length === 2 && items
  })
  t.same(received.map(({ type }: { type: string }) => type).sort(), ['security.alert', 'system'])
  t.match(await ana.request('POST', '/demo/notify', { userId: '999', kind: 'send' }), { status: 404 })

  const { body } = await call(system.url, 'POST', '/demo/devices')
  const [one, two] = body.devices
  t.match(one.user, { displayName: 'Ana Silva', viewer: { following: false } })
  const asOne = { authorization: `Bearer ${one.accessToken}` }
  t.match((await call(system.url, 'GET', `/users/${two.user.id}`, undefined, asOne)).body, {
    displayName: 'Ben Okafor',
    viewer: { following: true, followedBy: true },
  })
  const again = await call(system.url, 'POST', '/demo/devices')
  t.equal(again.body.devices[0].user.id, one.user.id, 'the same two at every call')
  t.notOk(again.body.devices[0].refreshToken === one.refreshToken, 'in sessions of their own')

  t.equal((await ana.request('DELETE', '/demo/data', { confirm: 'delete all data' })).status, 403)
  await pool.query(`update social.users set role = 'admin' where username = 'ben'`)
  const admin = (await call(system.url, 'POST', '/auth/signin', { login: 'ben', password: 'correct horse battery' }))
    .body
  const asAdmin = { authorization: `Bearer ${admin.accessToken}` }
  t.equal((await call(system.url, 'DELETE', '/demo/data', { confirm: 'yes' }, asAdmin)).status, 400, 'typed in full')
  const confirmation = { confirm: 'delete all data' }
  await pool.query(`update social.sessions set created_at = now() - interval '11 minutes'`)
  t.match(await call(system.url, 'DELETE', '/demo/data', confirmation, asAdmin), {
    status: 403,
    body: { code: 'REAUTHENTICATION_REQUIRED' },
  })
  const confirmed = { ...confirmation, currentPassword: 'correct horse battery' }
  t.match((await call(system.url, 'DELETE', '/demo/data', confirmed, asAdmin)).body, { removed: 3 })
  t.match((await pool.query('select action, before from notify.audit')).rows, [
    { action: 'demo.clear', before: { accounts: 3 } },
  ])
  await settled(system)
  t.match((await call(system.url, 'GET', '/posts', undefined, asAdmin)).body, { items: [] })
  t.equal((await pool.query('select from social.demo_users')).rowCount, 0)
  await noDrift(t, system)
})

test('an Idempotency-Key simulates once, also with two requests at once', async (t) => {
  const system = await setup(t, { env: { DEMO: 'true', POOL_SIZE: '2' } })
  const ana = await system.as('ana')
  const { id } = await ana.post('Good morning')
  const simulate = (key: string) =>
    ana.request('POST', `/demo/posts/${id}/simulate`, { likes: 5, comments: 3 }, { 'idempotency-key': key })
  const made = async () =>
    (
      await system.pool.query(
        'select (select count(*)::int from social.likes) as likes, (select count(*)::int from social.comments) as comments',
      )
    ).rows[0]
  const first = await simulate('one')
  t.match(first, { status: 200, body: { likes: { waiting: 0 } } })
  const again = await simulate('one')
  t.same(again.body, first.body)
  t.equal(again.headers.get('idempotent-replayed'), 'true')
  t.same(await made(), { likes: 5, comments: 3 })
  const answers = await Promise.all(['a', 'b', 'c', 'd'].map(simulate))
  t.same(
    answers.map(({ status }) => status),
    [200, 200, 200, 200],
    'each needs one connection',
  )
  t.match(await made(), { comments: 15 })
})

test('two removals of simulated users at once, or of all data, both succeed', async (t) => {
  const system = await setup(t, { worker: true, env: { DEMO: 'true' } })
  const { pool, url } = system
  const [ana, ben] = [await system.as('ana'), await system.as('ben')]
  await pool.query(`update social.users set role = 'admin' where id = $1`, [ben.id])
  const admin = await signIn(url, 'ben')
  const { id } = await ana.post('Good morning')
  const sumOf = (answers: { body: { removed: number } }[]) => answers.reduce((sum, { body }) => sum + body.removed, 0)
  for (const [path, body, count] of [
    ['/demo/simulated-users', undefined, 15],
    ['/demo/data', { confirm: 'delete all data', currentPassword: 'correct horse battery' }, 16],
  ] as const) {
    await ana.request('POST', `/demo/posts/${id}/simulate`, { likes: 15, from: 'strangers' })
    const answers = await Promise.all([1, 2].map(() => admin.request('DELETE', path, body)))
    t.same(
      answers.map(({ status }) => status),
      [200, 200],
      path,
    )
    t.equal(sumOf(answers), count, 'each account is counted once')
  }
})

test('without DEMO the demo calls do not exist', async (t) => {
  const { as, url } = await setup(t)
  const ana = await as('ana')
  t.match(await ana.request('POST', '/demo/notify', { userId: ana.id, kind: 'send' }), { status: 404 })
  t.match(await call(url, 'POST', '/demo/devices'), { status: 404 })
})
