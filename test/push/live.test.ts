import t from 'tap'
import { markRead } from '../../src/notify/inbox/mark.ts'
import { dispatch } from '../notify/dispatch/events.ts'
import { eventually } from '../setup.ts'
import { sendTo, startNode } from './node.ts'

t.test('a connected client is sent changes, and can resume where it was', async (t) => {
  const node = await startNode(t)
  const ana = await node.user('ana')
  const first = await ana.connect()
  const welcome = await first.next('welcome')
  t.match(welcome, { userId: ana.id, sessionId: ana.sessionId, unreadCount: 0, unseenCount: 0, heartbeatSeconds: 25 })
  t.match(await first.next('synced'), { state: welcome.state, count: 0 })
  t.equal(first.of('changes').length, 0, 'nothing happened, so nothing is sent')

  await sendTo(node.app, ana.id)
  await dispatch(node.app)
  const changes = await first.next('changes')
  t.match(changes, { from: welcome.state, more: false, removes: [], unreadCount: 1, unseenCount: 1 })
  t.match(changes.upserts, [{ type: 'test.sent', deliveredAt: null, readAt: null }])
  first.socket.close()

  await sendTo(node.app, ana.id)
  await dispatch(node.app)
  const second = await ana.connect({ since: changes.to })
  t.match(await second.next('synced'), { count: 1 })
  t.match(second.of('changes'), [{ from: changes.to, unreadCount: 2 }])
  t.equal(second.frames[0]?.type, 'welcome')
})

t.test('without a state, a client is sent what no device has acknowledged', async (t) => {
  const node = await startNode(t)
  const ana = await node.user('ana')
  await sendTo(node.app, ana.id, 2)
  await dispatch(node.app)
  const phone = await ana.connect()
  t.match(await phone.next('synced'), { count: 2 })
  phone.send({ type: 'ack', state: phone.state })
  await eventually(async () => (await delivered()) === 2)

  await sendTo(node.app, ana.id)
  await dispatch(node.app)
  const laptop = await ana.connect()
  t.match(await laptop.next('synced'), { count: 1 })

  async function delivered() {
    const { rows } = await node.app.pool.query(
      'select count(*)::int as n from notify.notifications where user_id = $1 and delivered_at is not null',
      [ana.id],
    )
    return rows[0].n
  }
})

t.test(
  'a long catch-up arrives in frames of 100, with `more` in all but the last, then live changes follow',
  async (t) => {
    const node = await startNode(t)
    const ana = await node.user('ana')
    await sendTo(node.app, ana.id, 250)
    await dispatch(node.app)
    const socket = await ana.connect()
    t.match(await socket.next('synced'), { count: 250 })
    const frames = socket.of('changes')
    t.same(
      frames.map(({ upserts, more, unreadCount }) => [upserts.length, more, unreadCount]),
      [
        [100, true, undefined],
        [100, true, undefined],
        [50, false, 250],
      ],
    )
    t.same(
      frames.slice(1).map(({ from }) => from),
      frames.slice(0, -1).map(({ to }) => to),
      'each begins where the one before ended',
    )
    await sendTo(node.app, ana.id, 120)
    await dispatch(node.app)
    await eventually(() => socket.upserts.length === 370)
    t.equal(new Set(socket.upserts).size, 370, 'none twice')
  },
)

t.test('a user on two nodes with two devices each sees the same everywhere', async (t) => {
  const node = await startNode(t)
  const other = await startNode(t, { databaseUrl: node.databaseUrl })
  const ana = await node.user('ana')
  const ben = await node.user('ben')
  const devices = await Promise.all([
    ana.connect(),
    ana.connect(),
    ana.connect({ node: other }),
    ana.connect({ node: other }),
  ])
  const stranger = await ben.connect()
  await Promise.all([...devices, stranger].map((socket) => socket.next('synced')))
  await sendTo(node.app, ana.id, 3)
  await dispatch(node.app)
  await eventually(() => devices.every((socket) => socket.upserts.length === 3))
  await markRead(node.app, ana.id, { ids: devices[0]?.upserts.slice(0, 1) ?? [] })
  for (const socket of devices) {
    const frame = await eventually(() => socket.of('changes').find(({ unreadCount }) => unreadCount === 2))
    t.equal(frame.upserts.length, 1)
    t.not(frame.upserts[0]?.readAt, null, 'the read on one device reaches all devices')
  }
  t.equal(new Set(devices.map((socket) => socket.state)).size, 1)
  t.equal(stranger.of('changes').length, 0, 'nobody else gets a frame')
})

t.test('a busy inbox is sent completely in at most ten frames a second', async (t) => {
  const node = await startNode(t)
  const ana = await node.user('ana')
  const socket = await ana.connect()
  await socket.next('synced')
  for (let n = 0; n < 60; n += 1) {
    await sendTo(node.app, ana.id)
    await dispatch(node.app)
  }
  await eventually(() => socket.upserts.length >= 60)
  t.ok(socket.of('changes').length < 60, 'changes are gathered')
  t.equal(new Set(socket.upserts).size, 60)
})

t.test('a state that cannot be resumed is answered with reset, and the socket continues from there', async (t) => {
  const node = await startNode(t)
  const ana = await node.user('ana')
  await sendTo(node.app, ana.id, 3)
  await dispatch(node.app)
  const state = (await (await ana.connect()).next('synced')).state
  const epoch = state.split('.')[0]
  await node.app.pool.query('update notify.inbox set floor_modseq = 2 where user_id = $1', [ana.id])
  const cases = [
    { since: `${epoch}.1`, reason: 'tooOld' },
    { since: `${epoch}.99`, reason: 'unknownState' },
    { since: 'other.1', reason: 'unknownState' },
    { since: 'nonsense', reason: 'unknownState' },
  ]
  const sockets = []
  for (const { since, reason } of cases) {
    const socket = await ana.connect({ since })
    t.match(await socket.next('reset'), { reason, state }, since)
    sockets.push(socket)
  }
  const withoutState = await ana.connect()
  t.match(await withoutState.next('synced'), { count: 3 }, 'who holds nothing needs no tombstones')
  await sendTo(node.app, ana.id)
  await dispatch(node.app)
  for (const socket of sockets) t.match(await socket.next('changes'), { from: state })
  for (const socket of sockets) t.equal(socket.of('synced').length, 0)
})

t.test('a restored database with a new epoch resets connected clients', async (t) => {
  const node = await startNode(t)
  const ana = await node.user('ana')
  const socket = await ana.connect()
  await socket.next('synced')
  await node.app.pool.query(`update notify.installation set epoch = 'restored', adopted_by = pg_current_xact_id()`)
  t.match(await socket.next('reset'), { reason: 'unknownState', state: 'restored.0' })
  await sendTo(node.app, ana.id)
  await dispatch(node.app)
  t.match(await socket.next('changes'), { from: 'restored.0', to: 'restored.1' })
})
