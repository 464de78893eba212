import t from 'tap'
import { TestSocket } from '../../push/socket.ts'
import { inboxOf, noDrift, settled } from '../../settled.ts'
import { setup } from '../../setup.ts'

t.test('a subscriber is notified of each post at once until the bell is switched off', async (t) => {
  const system = await setup(t, { worker: true, push: true })
  const [ana, ben, cem] = [await system.as('ana'), await system.as('ben'), await system.as('cem')]
  const ring = (enabled: boolean) => ben.request('PUT', `/users/${ana.id}/bell`, { enabled })
  for (const enabled of [true, true]) t.match(await ring(enabled), { status: 200, body: { bell: true } })
  t.equal((await ben.get(`/users/${ana.id}`)).viewer.bell, true)
  t.equal((await cem.get(`/users/${ana.id}`)).viewer.bell, false)
  t.equal((await ana.get(`/users/${ben.id}`)).viewer.bell, false)

  const socket = await TestSocket.open(t, `${system.url.replace('http', 'ws')}/ws`)
  socket.send({ type: 'hello', token: ben.accessToken })
  await socket.next('synced')
  const post = await ana.post('Hello')
  const { upserts } = await socket.next('changes')
  t.match(upserts, [
    {
      type: 'post.published',
      title: 'ana published a post',
      url: `/posts/${post.id}`,
      object: { type: 'post', id: post.id },
      actors: [{ id: ana.id }],
      actorCount: 1,
      groupKey: null,
    },
  ])
  t.same(await inboxOf(system, 'cem'), [])

  for (const enabled of [false, false]) t.match(await ring(enabled), { status: 200, body: { bell: false } })
  await ana.post('Hello again')
  t.equal((await inboxOf(system, 'ben')).length, 1)
  t.equal((await ben.get(`/users/${ana.id}`)).viewer.bell, false)
  await noDrift(t, system)
})

t.test('a mentioned subscriber is notified of the mention only', async (t) => {
  const system = await setup(t, { worker: true })
  const [ana, ben, cem] = [await system.as('ana'), await system.as('ben'), await system.as('cem')]
  for (const subscriber of [ben, cem]) await subscriber.request('PUT', `/users/${ana.id}/bell`, { enabled: true })
  await ana.post('Hello @ben')
  t.match(await inboxOf(system, 'ben'), [{ type: 'user.mentioned' }])
  t.match(await inboxOf(system, 'cem'), [{ type: 'post.published' }])
})

t.test('preferences, blocks and mutes of subscribers apply and are logged', async (t) => {
  const system = await setup(t, { worker: true })
  const ana = await system.as('ana')
  const said: Record<string, object> = {
    off: { types: { 'post.published': { inApp: false } } },
    quiet: { snoozeUntil: new Date(Date.now() + 3_600_000).toISOString() },
    drops: { policy: { strangers: 'drop' } },
    filters: { policy: { strangers: 'filter' } },
    knows: { policy: { strangers: 'drop' } },
  }
  for (const name of ['plain', 'mutes', 'blocks', 'blocked', ...Object.keys(said)]) {
    const one = await system.as(name)
    if (name === 'mutes') await one.request('PUT', `/users/${ana.id}/mute`, {})
    if (name === 'knows') await one.follow(ana.id)
    if (name in said) await one.request('PUT', '/notifications/preferences', said[name])
    t.match(await one.request('PUT', `/users/${ana.id}/bell`, { enabled: true }), { status: 200 })
    // A block ends bells: here is one left all the same.
    const pair = name === 'blocks' ? [one.id, ana.id] : name === 'blocked' ? [ana.id, one.id] : undefined
    if (!pair) continue
    await system.pool.query('insert into social.blocks (user_id, other_id) values ($1, $2)', pair)
    const again = await one.request('PUT', `/users/${ana.id}/bell`, { enabled: true })
    t.match(again, { status: 404, body: { code: 'USER_NOT_FOUND' } })
  }
  await ana.post('Hello')
  await settled(system)
  const { rows } = await system.pool.query(
    `select u.username, s.decision, s.decided_by, s.silent from notify.sources s join social.users u on u.id = s.user_id
     where s.source_id like 'post:%' order by 1`,
  )
  t.same(rows, [
    { username: 'blocked', decision: 'suppressed', decided_by: 'block', silent: false },
    { username: 'blocks', decision: 'suppressed', decided_by: 'block', silent: false },
    { username: 'drops', decision: 'suppressed', decided_by: 'strangers', silent: false },
    { username: 'filters', decision: 'filtered', decided_by: 'strangers', silent: false },
    { username: 'knows', decision: 'shown', decided_by: 'typeDefault', silent: false },
    { username: 'mutes', decision: 'suppressed', decided_by: 'mute', silent: false },
    { username: 'off', decision: 'suppressed', decided_by: 'typePreference', silent: false },
    { username: 'plain', decision: 'shown', decided_by: 'typeDefault', silent: false },
    { username: 'quiet', decision: 'shown', decided_by: 'snooze', silent: true },
  ])
  await noDrift(t, system)
})

t.test('a block removes the bells of both users, and a deleted user has none', async (t) => {
  const system = await setup(t, { worker: true })
  const [ana, ben, cem] = [await system.as('ana'), await system.as('ben'), await system.as('cem')]
  const pairs = [
    [ana, ben],
    [ben, ana],
    [cem, ana],
    [ana, cem],
  ] as const
  for (const [who, whose] of pairs) await who.request('PUT', `/users/${whose.id}/bell`, { enabled: true })
  await ana.request('PUT', `/users/${ben.id}/block`)
  const bells = async () => (await system.pool.query('select user_id, author_id from social.bells order by 1')).rows
  t.same(await bells(), [
    { user_id: ana.id, author_id: cem.id },
    { user_id: cem.id, author_id: ana.id },
  ])
  t.equal((await cem.deleteAccount()).status, 204)
  await settled(system)
  t.same(await bells(), [])
})

t.test('nobody can subscribe to themselves or to unknown users', async (t) => {
  const { as } = await setup(t)
  const ana = await as('ana')
  const ring = (id: string, body: object) => ana.request('PUT', `/users/${id}/bell`, body)
  t.match(await ring(ana.id, { enabled: true }), { status: 422, body: { code: 'CANNOT_RING_FOR_SELF' } })
  for (const enabled of [true, false])
    t.match(await ring('999', { enabled }), { status: 404, body: { code: 'USER_NOT_FOUND' } })
  t.match(await ring('1', {}), { status: 400, body: { code: 'VALIDATION_FAILED' } })
})
