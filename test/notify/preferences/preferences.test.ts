import t from 'tap'
import { grantAdmin } from '../../../src/social/accounts/admin.ts'
import { signIn } from '../../client.ts'
import { inboxOf, noDrift, settled } from '../../settled.ts'
import { setup } from '../../setup.ts'

t.test('preferences are stored whole and returned with their effect', async (t) => {
  const { as } = await setup(t)
  const ana = await as('ana')
  t.match(await ana.get('/notifications/preferences'), {
    preferences: { types: {}, channels: { inApp: true }, policy: { strangers: 'accept' }, snoozeUntil: null },
    effective: { 'post.liked': { inApp: { enabled: true, decidedBy: 'typeDefault' }, email: { enabled: false } } },
  })
  const document = {
    types: { 'post.liked': { inApp: false, email: true }, 'shop.paid': { email: false } },
    channels: { webPush: false },
    dnd: { enabled: true, timeZone: 'Europe/Berlin', windows: [{ days: [1, 7], from: '22:00', to: '07:00' }] },
    cap: { atMost: 10, seconds: 3600 },
    digest: { every: 'week', at: '08:00' },
  }
  const { status, body } = await ana.request('PUT', '/notifications/preferences', document)
  t.equal(status, 200)
  t.match(body.preferences, { ...document, digest: { every: 'week', day: 1, at: '08:00' } })
  t.match(await ana.request('PUT', '/notifications/preferences', body.preferences), { status: 200 })
  t.match(body.effective, {
    'post.liked': { inApp: { enabled: false, decidedBy: 'typePreference' }, email: { enabled: true } },
    'comment.created': { webPush: { enabled: false, decidedBy: 'channelPreference' } },
    'shop.paid': { email: { enabled: false }, inApp: { enabled: true } },
  })
  t.match(await ana.request('PUT', '/notifications/preferences', {}), { body: { preferences: { types: {} } } })
})

t.test('invalid preferences are refused and change nothing', async (t) => {
  const { as } = await setup(t)
  const ana = await as('ana')
  const windows = [{ days: [1], from: '22:00', to: '07:00' }]
  await ana.request('PUT', '/notifications/preferences', { channels: { email: false } })
  for (const wrong of [
    { colour: 'red' },
    { channels: { fax: true } },
    { types: { 'post.liked': { inApp: 'no' } } },
    { policy: { strangers: 'eat' } },
    { dnd: { enabled: true, timeZone: 'Europe/Atlantis', windows } },
    { dnd: { enabled: true, timeZone: 'Europe/Berlin', windows: [{ days: [0], from: '22:00', to: '07:00' }] } },
    { dnd: { enabled: true, timeZone: 'Europe/Berlin', windows: [{ days: [1], from: '24:00', to: '07:00' }] } },
    { snoozeUntil: 'tomorrow' },
    { snoozeUntil: '0000-01-01T00:00:00Z' },
    { snoozeUntil: '2030-01-01T00:00:00+23:59' },
    { snoozeUntil: '2030-12-31T23:59:60Z' },
    { cap: { atMost: 0, seconds: 3600 } },
    { cap: { atMost: 3 } },
    { types: { 'post.liked': { cap: { atMost: 3, seconds: 10 } } } },
    { channels: { cap: { atMost: 3, seconds: 3600 } } },
    { digest: { every: 'month', at: '08:00' } },
    { digest: { every: 'day', at: '8' } },
    { digest: { every: 'day', at: '08:00', timeZone: 'Europe/Atlantis' } },
  ])
    t.match(await ana.request('PUT', '/notifications/preferences', wrong), { status: 400 }, JSON.stringify(wrong))
  t.match(await ana.request('PUT', '/notifications/preferences', { snoozeUntil: '2030-12-31T23:59:60Z' }), {
    body: { code: 'VALIDATION_FAILED', errors: [{ pointer: '/snoozeUntil' }] },
  })
  t.match(await ana.get('/notifications/preferences'), { preferences: { channels: { email: false } } })
})

t.test(
  'strangers are dropped or filtered, followed users are not, and notifications in quiet hours are silent',
  async (t) => {
    const system = await setup(t, { worker: true, windowSeconds: 0 })
    const [ana, ben, cem] = await Promise.all(['ana', 'ben', 'cem'].map(system.as))
    if (!ana || !ben || !cem) throw new Error('nobody signed up')
    await ana.follow(ben.id)
    const post = await ana.post('hello')
    await ana.request('PUT', '/notifications/preferences', { policy: { strangers: 'drop' } })
    await cem.comment(post.id, 'from a stranger')
    await ben.comment(post.id, 'from a friend')
    t.match(await inboxOf(system, 'ana'), [{ actors: 'ben', actor_count: 1 }])
    await ana.request('PUT', '/notifications/preferences', {
      policy: { strangers: 'filter' },
      snoozeUntil: new Date(Date.now() + 3_600_000).toISOString(),
    })
    await cem.like(post.id)
    await ben.like(post.id)
    await settled(system)
    t.match(await ana.get('/notifications/unread-count'), { unreadCount: 2 })
    t.match(await ana.get('/notifications?filter=filtered'), {
      items: [{ type: 'post.liked', actors: [{ username: 'cem' }] }],
    })
    for (const list of ['pending', 'history'])
      t.equal((await ana.get(`/notifications/${list}`)).items.length, 2, `${list} leaves out what is filtered`)
    const { items } = await ana.get('/notifications?type=post.liked')
    t.match(items, [{ actors: [{ username: 'ben' }], actorCount: 1, silent: true }])
    await cem.unlike(post.id)
    await settled(system)
    t.match(await ana.get('/notifications?filter=filtered'), { items: [] })
    await noDrift(t, system)
  },
)

t.test(
  'notifications beyond a cap are shown silently, caps of one recipient do not affect others, and critical notifications are exempt',
  async (t) => {
    const system = await setup(t, { worker: true, windowSeconds: 0 })
    const [ana, ben, cem] = [await system.as('ana'), await system.as('ben'), await system.as('cem')]
    const cap = { atMost: 2, seconds: 3600 }
    await ana.request('PUT', '/notifications/preferences', { types: { 'comment.created': { cap } } })
    const silent = async () => {
      await settled(system)
      const { items } = await ana.get('/notifications')
      return items.map(({ type, silent }: { type: string; silent: boolean }) => `${type} ${silent}`).reverse()
    }
    const posts = [await ana.post('one'), await ana.post('two'), await ana.post('three')]
    for (const { id } of posts) {
      await ben.comment(id, 'hello')
      await settled(system)
    }
    await ben.like(String(posts[0]?.id))
    t.same(await silent(), [
      'comment.created false',
      'comment.created false',
      'comment.created true',
      'post.liked false',
    ])
    const { items } = await ana.get('/notifications?type=comment.created')
    t.match((await ana.get(`/notifications/${items[0].id}/why`)).decisions[0], { decidedBy: 'cap', channel: 'inApp' })
    const recent = async (id: string) =>
      (await system.pool.query('select recent from notify.preferences where user_id = $1', [id])).rows[0]?.recent
    t.match(await recent(ana.id), [{ type: 'comment.created' }, { type: 'comment.created' }])
    t.equal((await recent(ana.id)).length, 2, 'likes have no cap and are not counted')
    t.equal(await recent(ben.id), undefined)
    const asked = await ana.request('POST', '/notifications/preferences/what-if', {
      preferences: { cap: { atMost: 1, seconds: 3600 } },
    })
    t.match(asked.body.types, {
      'comment.created': {
        inApp: { before: { allow: 2, silent: 1 }, after: { allow: 1, silent: 2 } },
        webPush: { after: { allow: 1, defer: 2 } },
      },
      'post.liked': { inApp: { after: { silent: 1 } } },
    })
    await system.pool.query(
      `select notify.emit('shop.code', array[$1]::bigint[], 'code', 'Code 123', priority => 'critical')`,
      [ana.id],
    )
    await system.pool.query(
      `update notify.preferences set recent = jsonb_set(recent, '{1,at}', to_jsonb((now() - interval '61 minutes')::text))`,
    )
    await cem.comment(String(posts[2]?.id), 'an hour later')
    t.same((await silent()).slice(-2).sort(), ['comment.created false', 'shop.code false'])
    await noDrift(t, system)
  },
)

t.test('what-if decides recent notifications again and changes nothing', async (t) => {
  const system = await setup(t, { worker: true, windowSeconds: 0 })
  const [ana, ben] = [await system.as('ana'), await system.as('ben')]
  const { id } = await ana.post('Hello')
  await ben.like(id)
  await ben.request('POST', `/users/${ana.id}/follow`)
  await settled(system)
  const before = await ana.get('/notifications/preferences')
  const preferences = {
    types: { 'post.liked': { inApp: false, email: true } },
    policy: { strangers: 'filter' },
    dnd: {
      enabled: true,
      timeZone: 'UTC',
      windows: [
        { days: [1, 2, 3, 4, 5, 6, 7], from: '00:00', to: '12:00' },
        { days: [1, 2, 3, 4, 5, 6, 7], from: '12:00', to: '00:00' },
      ],
    },
  }
  const ask = (body: object) => ana.request('POST', '/notifications/preferences/what-if', body)
  t.match(await ask({ preferences }), {
    status: 200,
    body: {
      days: 30,
      notifications: 2,
      differs: 2,
      types: {
        'post.liked': { inApp: { before: { allow: 1 }, after: { filter: 1 } }, email: { before: { suppress: 1 } } },
        'user.followed': { webPush: { before: { allow: 1 }, after: { filter: 1 } } },
      },
    },
  })
  await ana.request('POST', `/users/${ben.id}/follow`)
  t.match((await ask({ preferences, days: 1 })).body.types, {
    'post.liked': { inApp: { after: { suppress: 1 } }, email: { after: { defer: 1 } } },
    'user.followed': { inApp: { after: { silent: 1 } } },
  })
  t.match((await ask({ preferences: {} })).body, { differs: 0 })
  await system.as('boss')
  await grantAdmin(system.pool, 'boss')
  const boss = await signIn(system.url, 'boss')
  const asStaff = (id: string) => boss.request('POST', `/admin/users/${id}/what-if`, { preferences })
  t.same((await asStaff(ana.id)).body, (await ask({ preferences })).body, 'staff ask the same about a user')
  t.match(await asStaff('999999'), { status: 404, body: { code: 'USER_NOT_FOUND' } })
  await system.pool.query(`update notify.notifications set updated_at = now() - interval '3 days'`)
  t.match((await ask({ preferences, days: 1 })).body, { notifications: 0, types: {} })
  t.match(await ask({ preferences: { dnd: { ...preferences.dnd, timeZone: 'Nowhere/Else' } } }), {
    status: 400,
    body: { code: 'BAD_TIME_ZONE' },
  })
  t.same(await ana.get('/notifications/preferences'), before)
})

t.test(
  'time zones are IANA names in any case, times are returned in UTC, and quiet hours may be partial',
  async (t) => {
    const { as } = await setup(t)
    const ana = await as('ana')
    const put = (body: object) => ana.request('PUT', '/notifications/preferences', body)
    const noZones = ['UTC+2', '+02:00', 'CEST', 'posix/Europe/Berlin', 'Factory', 'Europe/Berlin ', 'Nowhere/Else']
    for (const timeZone of noZones)
      for (const body of [{ dnd: { timeZone } }, { digest: { every: 'day', at: '08:00', timeZone } }]) {
        t.match(await put(body), { status: 400, body: { code: 'BAD_TIME_ZONE' } }, JSON.stringify(body))
        const asked = await ana.request('POST', '/notifications/preferences/what-if', { preferences: body })
        t.match(asked, { status: 400, body: { code: 'BAD_TIME_ZONE' } })
      }
    const { status, body } = await put({
      dnd: { timeZone: 'europe/BERLIN' },
      digest: { every: 'day', at: '08:00', timeZone: 'america/new_york' },
      snoozeUntil: '2026-12-01T08:00:00.1239+02:00',
    })
    t.equal(status, 200)
    t.match(body.preferences, {
      dnd: { enabled: false, timeZone: 'Europe/Berlin', windows: [] },
      digest: { every: 'day', at: '08:00', timeZone: 'America/New_York' },
      snoozeUntil: '2026-12-01T06:00:00.123Z',
    })
    t.same((await put(body.preferences)).body, body, 'sent back unchanged')
    t.match((await put({ dnd: { enabled: true } })).body.preferences.dnd, {
      enabled: true,
      timeZone: 'UTC',
      windows: [],
    })
    t.match((await put({ dnd: {}, snoozeUntil: null, digest: null })).body.preferences.dnd, { enabled: false })
    const asked = await ana.request('POST', '/notifications/preferences/what-if', {
      preferences: { dnd: { enabled: true }, snoozeUntil: '0000-01-01T00:00:00Z' },
    })
    t.match(asked, { status: 400, body: { errors: [{ pointer: '/snoozeUntil' }] } })
  },
)
