import pg from 'pg'
import t, { type Test } from 'tap'
import { startProxy } from '../client/proxy.ts'
import { dispatch } from '../notify/dispatch/events.ts'
import { cloneDatabase, eventually } from '../setup.ts'
import { sendTo, startNode, type TestNode } from './node.ts'

/** The sweep does not help within the deadline of a test. */
const NO_SWEEP = { SWEEP_INTERVAL_MS: '60000' }

t.test('changes during a broken LISTEN are sent once it works again', async (t) => {
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
    await sendTo(node.app, ana.id)
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
  await sendTo(node.app, ana.id)
  await dispatch(node.app)
  await socket.next('changes')
  await node.app.pool.query(`create database ${missing}`)
  t.teardown(() => dropDatabase(url.href, missing))
  await eventually(() => node.push.listenAlive())
})

t.test('connections that the database closes are replaced, and clients notice nothing', async (t) => {
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
    sendTo(node.app, ana.id).then(
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

t.test('a read whose connection is closed is repeated, and the socket stays open', async (t) => {
  const node = await startNode(t, { env: NO_SWEEP })
  const ana = await node.user('ana')
  const socket = await ana.connect()
  await socket.next('synced')
  const block = await blocker(t, node, 'lock table notify.tombstones in access exclusive mode')
  await sendTo(node.app, ana.id)
  await dispatch(node.app)
  await block.endWaiting('"ackedModseq"')
  t.equal(socket.of('changes').length, 0)
  await block.release()
  t.match(await socket.next('changes'), { unreadCount: 1 })
  t.equal(socket.closeCode, undefined)
})

t.test(
  'when the database connection that serves a hello is lost, the socket closes with 1001 and the client reconnects',
  async (t) => {
    const node = await startNode(t, { env: NO_SWEEP })
    const ana = await node.user('ana')
    await sendTo(node.app, ana.id)
    await dispatch(node.app)
    const block = await blocker(t, node, 'lock table social.sessions in access exclusive mode')
    const socket = await ana.connect()
    await block.endWaiting('social.sessions')
    t.equal(await socket.closed(), 1001)
    t.equal(socket.frames.length, 0)
    await block.release()
    t.match(await (await ana.connect()).next('synced'), { count: 1 })
  },
)

t.test('an ack whose database connection is lost is stored later', async (t) => {
  const node = await startNode(t, { env: NO_SWEEP })
  const ana = await node.user('ana')
  await sendTo(node.app, ana.id)
  await dispatch(node.app)
  const socket = await ana.connect()
  const { state } = await socket.next('synced')
  const block = await blocker(t, node, 'lock table notify.notifications in access exclusive mode')
  socket.send({ type: 'ack', state })
  await block.endWaiting('acked_modseq')
  await block.release()
  await eventually(async () => {
    const { rows } = await node.app.pool.query('select from notify.notifications where delivered_at is not null')
    return rows.length === 1
  })
  t.equal(socket.closeCode, undefined)
})

t.test('a network that drops packets blocks a node no longer than a statement timeout', async (t) => {
  const database = await cloneDatabase(t)
  const proxy = await startProxy(t, database)
  const throughProxy = new URL(database)
  throughProxy.port = new URL(proxy.url).port
  const env = { ...NO_SWEEP, DATABASE_URL_DIRECT: database }
  const node = await startNode(t, { databaseUrl: throughProxy.href, env, limits: { queryMs: 500 } })
  const healthy = await startNode(t, { databaseUrl: database, env })
  const ana = await node.user('ana')
  const [socket, other] = [await ana.connect(), await ana.connect()]
  await Promise.all([socket.next('synced'), other.next('synced')])
  proxy.swallow()
  await sendTo(healthy.app, ana.id)
  await dispatch(healthy.app)
  t.match(await socket.next('changes'), { unreadCount: 1 })
  socket.send({ type: 'ack', state: socket.state })
  await eventually(async () => {
    const { rows } = await healthy.app.pool.query('select from notify.notifications where delivered_at is not null')
    return rows.length === 1
  })
  t.equal(socket.closeCode, undefined)
})

/** Holds a lock in a transaction of its own. */
async function blocker(t: Test, node: TestNode, statement: string) {
  const client = new pg.Client({ connectionString: node.databaseUrl })
  await client.connect()
  t.teardown(() => client.end())
  await client.query('begin')
  await client.query(statement)
  return {
    /** Ends the one connection that waits for the lock with a statement that contains this text. */
    endWaiting: (text: string) =>
      eventually(async () => {
        const { rowCount } = await node.app.pool.query(
          `select pg_terminate_backend(pid) from pg_stat_activity
           where datname = current_database() and wait_event_type = 'Lock' and position($1 in query) > 0`,
          [text],
        )
        return rowCount === 1
      }),
    release: () => client.query('rollback'),
  }
}

async function dropDatabase(url: string, name: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query(`drop database if exists ${name} with (force)`)
  await client.end()
}
