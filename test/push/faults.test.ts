import t from 'tap'
import { encodeChangedInboxes, INBOX_CHANNEL } from '../../src/base/wake-ups.ts'
import { dispatch, fillInbox } from '../notify/dispatch/events.ts'
import { cloneDatabase, eventually } from '../setup.ts'
import { sendTo, startNode } from './node.ts'

/** The sweep does not help within the deadline of a test. */
const NO_SWEEP = { SWEEP_INTERVAL_MS: '60000' }

t.test('without any hints, the sweep finds all changes', async (t) => {
  const deaf = await startNode(t, { env: { WAKE_UPS: 'off', DATABASE_URL_DIRECT: await cloneDatabase(t) } })
  const ana = await deaf.user('ana')
  const sockets = [await ana.connect(), await ana.connect()]
  await Promise.all(sockets.map((socket) => socket.next('synced')))
  await sendTo(deaf.app, ana.id, 2)
  await dispatch(deaf.app)
  await eventually(() => sockets.every((socket) => socket.upserts.length === 2))
  await deaf.app.pool.query('update social.sessions set revoked_at = now() where id = $1', [ana.sessionId])
  for (const socket of sockets) t.equal(await socket.closed(), 4403)
})

t.test('a live socket whose hints were lost gets everything at once, in any amount', async (t) => {
  const node = await startNode(t, { env: NO_SWEEP })
  const ana = await node.user('ana')
  const socket = await ana.connect()
  await socket.next('synced')
  await fillInbox(node.app, ana.id, 450)
  const listening = `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = 'ravenpost listen'`
  await node.app.pool.query(listening)
  await eventually(() => socket.upserts.length === 450)
  t.match(socket.of('changes').at(-1), { more: false, unreadCount: 450 })
})

t.test('a client that never reads costs little memory, delays nobody, and gets everything once it reads', async (t) => {
  const node = await startNode(t, { env: NO_SWEEP })
  const ana = await node.user('ana')
  const [slow, quick] = [await ana.connect(), await ana.connect()]
  await Promise.all([slow.next('synced'), quick.next('synced')])
  slow.socket.pause()
  const [total, bytes] = [3000, 7000]
  let most = 0
  for (let sent = 0; sent < total; sent += 500) {
    await sendTo(node.app, ana.id, 500, bytes)
    await dispatch(node.app)
    await eventually(() => {
      most = Math.max(most, node.push.stats().buffered)
      return quick.upserts.length === sent + 500
    })
  }
  t.ok(slow.upserts.length < total)
  t.ok(most > 0, 'its buffer was full at times')
  t.ok(most < 3_000_000, `little was buffered: ${most}`)
  slow.socket.resume()
  await eventually(() => slow.upserts.length >= total)
  t.same(slow.upserts, quick.upserts, 'all, in order, none twice')
  t.equal(slow.state, quick.state)
})

t.test('a client that never reads is disconnected, and loses nothing after reconnecting', async (t) => {
  const node = await startNode(t, { env: NO_SWEEP, limits: { heartbeatMs: 1000, maxBuffered: 64 * 1024 } })
  const ana = await node.user('ana')
  const [stuck, quick] = [await ana.connect(), await ana.connect()]
  await Promise.all([stuck.next('synced'), quick.next('synced')])
  stuck.socket.pause()
  const total = 1500
  for (let sent = 0; sent < total; sent += 500) {
    await sendTo(node.app, ana.id, 500, 7000)
    await dispatch(node.app)
  }
  await eventually(() => quick.upserts.length === total)
  await eventually(() => node.push.stats().sockets === 1)
  t.equal(node.push.stats().buffered, 0, 'its buffer is gone with it')
  stuck.socket.resume()
  t.ok([4408, 1006].includes(await stuck.closed()), 'the close frame stood behind what it did not read')
  t.ok(stuck.upserts.length < total)
  const back = await ana.connect({ since: stuck.state })
  await back.next('synced')
  t.same([...stuck.upserts, ...back.upserts], quick.upserts, 'all, in order, none twice')
  t.equal(quick.closeCode, undefined)
})

t.test('rows not yet visible at their hint are looked up again', async (t) => {
  const node = await startNode(t, { env: NO_SWEEP })
  const ana = await node.user('ana')
  const socket = await ana.connect()
  await socket.next('synced')
  const [payload] = encodeChangedInboxes(new Map([[ana.id, 3]]))
  await node.app.pool.query('select pg_notify($1, $2)', [INBOX_CHANNEL, payload])
  await fillInbox(node.app, ana.id, 3)
  t.match(await socket.next('changes'), { unreadCount: 3 })
})

t.test('false, malformed or foreign hints do no harm', async (t) => {
  const node = await startNode(t, { env: NO_SWEEP })
  const ana = await node.user('ana')
  const socket = await ana.connect()
  await socket.next('synced')
  const lies = encodeChangedInboxes(
    new Map([
      [ana.id, 2 ** 50],
      ['77', 5],
    ]),
  )
  for (const payload of [...lies, '', 'nonsense', ':', '1:', ','])
    for (const channel of [INBOX_CHANNEL, 'ravenpost_session', 'ravenpost_counts'])
      await node.app.pool.query('select pg_notify($1, $2)', [channel, payload])
  for (let n = 1; n <= 2; n += 1) {
    await sendTo(node.app, ana.id)
    await dispatch(node.app)
    t.match(await socket.next('changes'), { unreadCount: n })
  }
})

t.test('a failed read is retried, and the socket stays open', async (t) => {
  const node = await startNode(t, { env: NO_SWEEP })
  const { pool } = node.app
  const ana = await node.user('ana')
  const socket = await ana.connect()
  await socket.next('synced')
  await sendTo(node.app, ana.id)
  await dispatch(node.app)
  await socket.next('changes')
  await pool.query('alter table notify.tombstones rename to elsewhere')
  const [payload] = encodeChangedInboxes(new Map([[ana.id, 2]]))
  await pool.query('select pg_notify($1, $2)', [INBOX_CHANNEL, payload])
  const late = await ana.connect()
  await late.next('welcome')
  await pool.query('alter table notify.elsewhere rename to tombstones')
  await late.next('synced')
  await sendTo(node.app, ana.id)
  await dispatch(node.app)
  t.match(await socket.next('changes'), { unreadCount: 2 })
})

t.test('a held inbox delays the acknowledgements of its own user and of nobody else', async (t) => {
  const node = await startNode(t, { env: NO_SWEEP })
  const { pool } = node.app
  const users = [await node.user('ana'), await node.user('hal'), await node.user('ben')]
  const [, hal] = users
  const sockets = await Promise.all(users.map((user) => user.connect()))
  await Promise.all(sockets.map((socket) => socket.next('synced')))
  await Promise.all(users.map(({ id }) => sendTo(node.app, id)))
  await dispatch(node.app)
  await eventually(() => sockets.every((socket) => socket.upserts.length === 1))
  const acked = async () => {
    const { rows } = await pool.query(
      'select u.display_name as name from notify.inbox i join social.users u on u.id = i.user_id where i.acked_modseq = 1 order by 1',
    )
    return rows.map(({ name }) => name).join(' ')
  }
  const holder = await pool.connect()
  await holder.query('begin')
  await holder.query('select from notify.inbox where user_id = $1 for update', [hal?.id])
  for (const socket of sockets) socket.send({ type: 'ack', state: socket.state })
  await eventually(async () => (await acked()) === 'ana ben', 5)
  await holder.query('rollback')
  holder.release()
  await eventually(async () => (await acked()) === 'ana ben hal')
})
