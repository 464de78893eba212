import t, { type Test } from 'tap'
import { registry } from '../../../src/base/metrics.ts'
import { judgeDeliveries } from '../../../src/notify/channels/recheck.ts'
import { TestSocket } from '../../push/socket.ts'
import { settled } from '../../settled.ts'
import { eventually, setup, type TestSystem } from '../../setup.ts'

const NO_SWEEP = { SWEEP_INTERVAL_MS: '60000' }

/** Invalid rows, as a restored dump, another version or a manual change can leave them. All functions of today refuse them. */
const spoilt = {
  'an expiry beyond the dates of JavaScript': `expires_at = '290000-01-01'`,
  'no expiry at all': `expires_at = 'infinity'`,
  'an expiry with a year of five digits': `expires_at = '20000-01-01'`,
  'a time before the calendar of RFC 3339': `created_at = '0044-03-15 BC', updated_at = '-infinity'`,
  'data that are no object': `data = 'null'`,
  'data that are a list': `data = '[1]'`,
}

async function connected(t: Test, system: TestSystem, name: string) {
  const person = await system.as(name)
  const socket = await TestSocket.open(t, `${system.url.replace('http', 'ws')}/ws`)
  socket.send({ type: 'hello', token: person.accessToken })
  await socket.next('synced')
  return { ...person, socket }
}

const emit = (system: TestSystem, ids: string[], source: string) =>
  system.pool.query(`select notify.emit('shop.order', $1::bigint[], $2, 'Ordinary')`, [ids, source])

for (const [what, change] of Object.entries(spoilt))
  t.test(`a notification with ${what} is shown as far as it can be, and reported`, async (t) => {
    const system = await setup(t, { worker: true, push: true, env: NO_SWEEP })
    const [ana, ben] = [await connected(t, system, 'ana'), await connected(t, system, 'ben')]
    await emit(system, [ana.id], 'first')
    await ana.socket.next('changes')
    t.same((await system.pool.query('select * from ops.unreadable_notifications')).rows, [])
    await system.pool.query(`update notify.notifications set ${change} where user_id = $1`, [ana.id])
    await emit(system, [ana.id, ben.id], 'second')
    t.match(await ben.socket.next('changes', 5), { unreadCount: 1 }, 'who is read with it waits for nothing')
    t.match(await ana.socket.next('changes', 5), { unreadCount: 2, upserts: [{ title: 'Ordinary' }] })

    const list = await ana.get('/notifications')
    t.match(list, { unreadCount: 2, items: [{ title: 'Ordinary' }, { id: '1', type: 'shop.order' }] })
    const [, spoilt] = list.items
    for (const time of [spoilt.createdAt, spoilt.updatedAt, spoilt.expiresAt])
      t.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
    t.equal(spoilt.title, 'Ordinary')
    t.same(spoilt.data, {})
    t.match(await ana.get('/notifications/1'), { id: '1', title: 'Ordinary' })
    t.match(await ana.request('PATCH', '/notifications/1/read'), { status: 200, body: { unreadCount: 1 } })
    const back = await TestSocket.open(t, `${system.url.replace('http', 'ws')}/ws`)
    back.send({ type: 'hello', token: ana.accessToken, since: list.state.replace(/\d+$/, '0') })
    t.match(await back.next('synced'), { count: 2 })
    const { rows } = await system.pool.query('select user_id, id, type, reason from ops.unreadable_notifications')
    t.match(rows, [{ user_id: ana.id, id: '1', type: 'shop.order', reason: /time|data/ }])
  })

t.test('a faulty notification is mailed and pushed as far as possible, and delays no other', async (t) => {
  const system = await setup(t, { worker: true })
  const people = [await system.as('ana'), await system.as('ben')]
  await system.pool.query(
    `select notify.emit('shop.order', $1::bigint[], 'first', 'Ordinary', priority => 'critical')`,
    [people.map(({ id }) => id)],
  )
  await settled(system)
  await system.pool.query(
    `update notify.notifications set data = 'null', expires_at = '290000-01-01', body = null where user_id = $1`,
    [people[0]?.id],
  )
  for (const channel of ['email', 'webPush'] as const) {
    const { sendable, settled } = await judgeDeliveries(
      system.app,
      people.map(({ id }) => {
        const sent = { target: '1', grownModseq: 1, sendId: `s.${id}`, attempts: 1 }
        return { userId: id, notificationId: '1', channel, ...sent }
      }),
    )
    t.same(settled, [])
    t.match(
      sendable.map(({ notification }) => notification),
      [{ title: 'Ordinary', expiresAt: '9999-12-31T23:59:59.999Z' }, { title: 'Ordinary' }],
    )
  }
})

t.test('notifications that cannot be rendered are counted', async (t) => {
  const system = await setup(t, { worker: true })
  const ana = await system.as('ana')
  await emit(system, [ana.id], 'first')
  await settled(system)
  await system.pool.query(`update notify.notifications set data = 'null'`)
  await ana.get('/notifications')
  const text = await registry.metrics()
  t.match(text, /ravenpost_unreadable_notifications_total [1-9]/)
})

t.test('a user whose inbox cannot be read is retried alone with growing delays', async (t) => {
  const system = await setup(t, { worker: true, push: true, env: NO_SWEEP })
  const people = []
  for (const name of ['ana', 'ben', 'cem', 'dia']) people.push(await connected(t, system, name))
  const [ana, ...others] = people
  if (!ana) throw new Error('unreachable')
  // Fails each read of the inbox, as a damaged page does.
  await system.pool.query(`
    alter table notify.tombstones rename to elsewhere;
    create view notify.tombstones as select user_id, modseq, id from notify.elsewhere
    union all select ${ana.id}::bigint, 1::bigint, 1 / (random() * 0)::int`)
  for (let n = 1; n <= 5; n += 1) {
    await emit(
      system,
      people.map(({ id }) => id),
      `${n}`,
    )
    await Promise.all(others.map(({ socket }) => eventually(() => socket.upserts.length === n, 5)))
  }
  t.same(ana.socket.upserts, [])
  await system.pool.query('drop view notify.tombstones; alter table notify.elsewhere rename to tombstones')
  await eventually(() => ana.socket.upserts.length === 5)
})
