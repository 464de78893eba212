import pg from 'pg'
import t from 'tap'
import { encodeChangedInboxes } from '../../src/notifications/notify-payload.ts'
import { INBOX_CHANNEL } from '../../src/wake-ups.ts'
import { dispatch, fillInbox } from '../notifications/events.ts'
import { cloneDatabase, eventually } from '../setup.ts'
import { startNode, tell } from './node.ts'

/** The sweep does not help within the deadline of a test. */
const NO_SWEEP = { SWEEP_INTERVAL_MS: '60000' }

t.test('with every hint lost the sweep finds what happened', async (t) => {
  const deaf = await startNode(t, { env: { WAKE_UPS: 'off', DATABASE_URL_DIRECT: await cloneDatabase(t) } })
  const ana = await deaf.user('ana')
  const sockets = [await ana.connect(), await ana.connect()]
  await Promise.all(sockets.map((socket) => socket.next('synced')))
  await tell(deaf.app, ana.id, 2)
  await dispatch(deaf.app)
  await eventually(() => sockets.every((socket) => socket.upserts.length === 2))
  await deaf.app.pool.query('update social.sessions set revoked_at = now() where id = $1', [ana.sessionId])
  for (const socket of sockets) t.equal(await socket.closed(), 4403)
})

t.test('what happens while LISTEN is broken is sent as soon as it stands again', async (t) => {
  const node = await startNode(t, { env: NO_SWEEP })
  const { pool } = node.app
  const ana = await node.user('ana')
  const socket = await ana.connect()
  await socket.next('synced')
  for (let times = 1; times <= 3; times += 1) {
    t.equal(node.push.listenAlive(), true)
    const { rowCount } = await pool.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and application_name = 'ravenpost listen'`,
    )
    t.equal(rowCount, 1, 'one connection listens')
    await tell(node.app, ana.id)
    await dispatch(node.app)
    await eventually(() => socket.upserts.length === times)
    await eventually(() => node.push.listenAlive())
  }
  t.equal(socket.closeCode, undefined, 'the socket stayed')
})

t.test('a node starts and serves while it cannot listen, and listens once it can', async (t) => {
  const url = new URL(await cloneDatabase(t))
  const missing = `${url.pathname.slice(1)}_missing`
  const direct = new URL(url)
  direct.pathname = `/${missing}`
  const node = await startNode(t, { databaseUrl: url.href, env: { DATABASE_URL_DIRECT: direct.href } })
  t.equal(node.push.listenAlive(), false)
  const ana = await node.user('ana')
  const socket = await ana.connect()
  await socket.next('synced')
  await tell(node.app, ana.id)
  await dispatch(node.app)
  await socket.next('changes')
  await node.app.pool.query(`create database ${missing}`)
  t.teardown(() => dropDatabase(url.href, missing))
  await eventually(() => node.push.listenAlive())
})

t.test(
  'a client that never reads costs little memory, hinders nobody, and gets everything once it reads',
  async (t) => {
    const node = await startNode(t, { env: NO_SWEEP })
    const ana = await node.user('ana')
    const [slow, quick] = [await ana.connect(), await ana.connect()]
    await Promise.all([slow.next('synced'), quick.next('synced')])
    slow.socket.pause()
    const [total, bytes] = [3000, 7000]
    let most = 0
    for (let sent = 0; sent < total; sent += 500) {
      await tell(node.app, ana.id, 500, bytes)
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
    await eventually(() => slow.upserts.length >= total, 20)
    t.same(slow.upserts, quick.upserts, 'all, in order, none twice')
    t.equal(slow.state, quick.state)
  },
)

t.test('rows that are not visible yet when they are notified are looked for again', async (t) => {
  const node = await startNode(t, { env: NO_SWEEP })
  const ana = await node.user('ana')
  const socket = await ana.connect()
  await socket.next('synced')
  const [payload] = encodeChangedInboxes(new Map([[ana.id, 3]]))
  await node.app.pool.query('select pg_notify($1, $2)', [INBOX_CHANNEL, payload])
  await fillInbox(node.app, ana.id, 3)
  t.match(await socket.next('changes'), { unreadCount: 3 })
})

t.test('hints that are lies, nonsense or about strangers do no harm', async (t) => {
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
    await tell(node.app, ana.id)
    await dispatch(node.app)
    t.match(await socket.next('changes'), { unreadCount: n })
  }
})

t.test('a read that fails is tried again, and the socket stays', async (t) => {
  const node = await startNode(t, { env: NO_SWEEP })
  const { pool } = node.app
  const ana = await node.user('ana')
  const socket = await ana.connect()
  await socket.next('synced')
  await tell(node.app, ana.id)
  await dispatch(node.app)
  await socket.next('changes')
  await pool.query('alter table notify.tombstones rename to elsewhere')
  const [payload] = encodeChangedInboxes(new Map([[ana.id, 2]]))
  await pool.query('select pg_notify($1, $2)', [INBOX_CHANNEL, payload])
  const late = await ana.connect()
  await late.next('welcome')
  await pool.query('alter table notify.elsewhere rename to tombstones')
  await late.next('synced')
  await tell(node.app, ana.id)
  await dispatch(node.app)
  t.match(await socket.next('changes'), { unreadCount: 2 })
})

t.test('connections that the database ends are replaced, and clients notice nothing', async (t) => {
  const node = await startNode(t)
  const ana = await node.user('ana')
  const socket = await ana.connect()
  await socket.next('synced')
  node.app.pool.on('error', () => {})
  const admin = new pg.Client({ connectionString: node.databaseUrl })
  await admin.connect()
  await admin.query(
    `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`,
  )
  await admin.end()
  await eventually(async () =>
    tell(node.app, ana.id).then(
      () => true,
      () => false,
    ),
  )
  await eventually(async () =>
    dispatch(node.app).then(
      () => true,
      () => false,
    ),
  )
  await socket.next('changes')
  t.equal(socket.closeCode, undefined)
})

async function dropDatabase(url: string, name: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query(`drop database if exists ${name} with (force)`)
  await client.end()
}
