import { pino } from 'pino'
import { test } from 'tap'
import { maintainDeliveryLog } from '../../../src/notify/delivery-log/partitions.ts'
import { TestSocket } from '../../push/socket.ts'
import { settled } from '../../settled.ts'
import { eventually, setup, type TestSystem } from '../../setup.ts'
import { startPushService, vapid } from '../channels/push-service.ts'
import { follow, makeUsers } from '../dispatch/events.ts'

const log = pino({ level: 'silent' })

/** The rows of the history view, or of the log only. */
async function logged(
  { pool }: Pick<TestSystem, 'pool'>,
  recipientId: string,
  where = 'notify.delivery_history',
): Promise<string[]> {
  const { rows } = await pool.query(
    `select concat_ws(' ', notification_id, event, channel, reason) as line from ${where} where recipient_id = $1 order by at, event`,
    [recipientId],
  )
  return rows.map((row) => row.line)
}

test('the delivery log records stored, pushed, acknowledged, sent and filtered', async (t) => {
  const service = await startPushService(t)
  const system = await setup(t, { worker: true, push: true, env: vapid, senders: { pushAgent: service.agent } })
  await eventually(async () => (await system.pool.query('select from notify.delivery_log_days')).rowCount === 4)
  const [ana, ben] = [await system.as('ana'), await system.as('ben')]
  await ana.request('POST', '/push/subscriptions', service.browser())
  const socket = await TestSocket.open(t, `${system.url.replace('http', 'ws')}/ws`)
  socket.send({ type: 'hello', token: ana.accessToken })
  await socket.next('synced')
  await ben.follow(ana.id)
  await eventually(async () => (await logged(system, ana.id)).length === 3)
  t.same((await logged(system, ana.id)).sort(), ['1 pushed inApp', '1 sent webPush', '1 stored inApp'])
  const { state } = await ana.get('/notifications/unread-count')
  await ana.request('POST', '/notifications/ack', { state })
  t.ok((await logged(system, ana.id)).includes('1 acknowledged inApp'))
  await ana.request('PUT', `/users/${ben.id}/mute`)
  await ben.like((await ana.post('hello')).id)
  await settled(system)
  t.ok((await logged(system, ana.id)).includes('filtered inApp mute'), 'with the rule that decided')
})

test('the time at which a notification was first stored is in its own row, and in the log once it grows or is removed', async (t) => {
  const system = await setup(t, { worker: true, windowSeconds: 0 })
  await eventually(async () => (await system.pool.query('select from notify.delivery_log_days')).rowCount === 4)
  const [ana, ben, cem] = [await system.as('ana'), await system.as('ben'), await system.as('cem')]
  const linesOf = async (where: string) => (await logged(system, ana.id, where)).sort()
  const post = await ana.post('hello')
  await ben.follow(ana.id)
  await settled(system)
  await ben.like(post.id)
  await settled(system)
  t.same(await linesOf('notify.delivery_log'), [])
  t.same(await linesOf('notify.delivery_history'), ['1 stored inApp', '2 stored inApp'])
  await cem.like(post.id)
  await settled(system)
  t.same(await linesOf('notify.delivery_log'), ['2 stored inApp'], 'it grew')
  const before = await system.pool.query('select * from notify.delivery_history order by notification_id, modseq')
  t.same(
    before.rows.map(({ notification_id, modseq }) => `${notification_id} ${modseq}`),
    ['1 1', '2 2', '2 3'],
  )
  await ana.request('DELETE', '/notifications/1')
  await ana.request('DELETE', `/posts/${post.id}`)
  await settled(system)
  t.same((await system.pool.query('select from notify.notifications')).rowCount, 0)
  const after = await system.pool.query('select * from notify.delivery_history order by notification_id, modseq')
  t.same(after.rows, before.rows, 'no notification is left, and its history is')
})

test('partitions of the delivery log are created ahead and dropped after retention; a missing one fails nothing', async (t) => {
  const system = await setup(t)
  const { pool } = system
  const ana = await system.as('ana')
  await maintainDeliveryLog(pool, log, 30)
  await maintainDeliveryLog(pool, log, 30)
  const days = async () =>
    (await pool.query('select name from notify.delivery_log_days order by name')).rows.map((row) => row.name)
  const made = await days()
  t.equal(made.length, 4, 'today and three days ahead, once')
  const { rows: keyless } = await pool.query(
    `select relname from pg_class where relname like 'delivery\\_log\\_2%' and relkind = 'r' and relreplident <> 'f'`,
  )
  t.same(keyless, [], 'a publication refuses no deletion')
  await pool.query(
    `select notify.attach_partition('delivery_log', 'delivery_log_20200101', '2020-01-01Z', '2020-01-02Z')`,
  )
  await pool.query(
    `insert into notify.delivery_log_days values ('delivery_log_20200101', '2020-01-01Z', '2020-01-02Z')`,
  )
  await maintainDeliveryLog(pool, log, 30)
  t.same(await days(), made)
  t.equal((await pool.query(`select to_regclass('notify.delivery_log_20200101') as there`)).rows[0].there, null)
  await pool.query('delete from notify.delivery_log_days')
  for (const name of made) await pool.query(`drop table notify.${name}`)
  const [ben = ''] = await makeUsers(system.app, ['ben'])
  await follow(system.app, ben, ana.id)
  const { state, unreadCount } = await ana.get('/notifications/unread-count')
  t.equal(unreadCount, 1)
  t.equal((await ana.request('POST', '/notifications/ack', { state })).status, 204)
  t.equal((await ana.request('DELETE', '/notifications/1')).status, 200)
  t.same(await logged(system, ana.id), [])
})
