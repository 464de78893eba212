import pg from 'pg'
import t, { type Test } from 'tap'
import { COUNTS_CHANNEL, encodeChangedInboxes, INBOX_CHANNEL, SESSION_CHANNEL } from '../../src/base/wake-ups.ts'
import { Dispatcher } from '../../src/notify/outbox/dispatcher.ts'
import { consumersOf, dispatch, inboxApp, makePost, makeUsers } from '../notify/dispatch/events.ts'
import { eventually } from '../setup.ts'
import { sendTo, signIn, startNode, type TestNode, watchQueries } from './node.ts'

/** A connection of a role without privileges. It may connect and NOTIFY, like every role. */
async function nobody(t: Test, databaseUrl: string): Promise<pg.Client> {
  const role = `nobody_${process.pid}_${Math.random().toString(36).slice(2, 8)}`
  const owner = new pg.Client({ connectionString: databaseUrl })
  await owner.connect()
  await owner.query(`create role ${role} login password 'x'`)
  const url = new URL(databaseUrl)
  url.username = role
  url.password = 'x'
  const client = new pg.Client({ connectionString: url.href })
  await client.connect()
  t.teardown(async () => {
    await client.end()
    await owner.query(`drop role ${role}`)
    await owner.end()
  })
  return client
}

const NO_SWEEP = { SWEEP_INTERVAL_MS: '60000' }

/** Waits until the node has heard and answered everything that was notified before. */
async function afterHints(t: Test, node: TestNode): Promise<void> {
  const eve = await node.user('eve')
  const socket = await eve.connect()
  await socket.next('synced')
  await sendTo(node.app, eve.id)
  await dispatch(node.app)
  await socket.next('changes')
  const session = await signIn(node.app, eve.id)
  await node.app.pool.query('select pg_notify($1, $2)', [SESSION_CHANNEL, session])
  await node.app.pool.query('update social.sessions set revoked_at = now() where id = $1', [eve.sessionId])
  await node.app.pool.query('select pg_notify($1, $2)', [SESSION_CHANNEL, eve.sessionId])
  t.equal(await socket.closed(), 4403, 'a true hint among them closes')
}

t.test('false hints about all sessions close no socket and cost few queries', async (t) => {
  const node = await startNode(t, { env: NO_SWEEP })
  const users = await Promise.all(['ana', 'ben', 'cem'].map((name) => node.user(name)))
  const sockets = await Promise.all(users.map((user) => user.connect()))
  await Promise.all(sockets.map((socket) => socket.next('synced')))
  const liar = await nobody(t, node.databaseUrl)
  await t.rejects(liar.query('select from social.sessions'))
  const queries = watchQueries(t)
  const from = performance.now()
  await liar.query(`select pg_notify($1, g::text) from generate_series(1, 5000) g`, [SESSION_CHANNEL])
  await afterHints(t, node)
  t.same(
    sockets.map((socket) => socket.closeCode),
    sockets.map(() => undefined),
  )
  t.ok(queries('live_sessions') <= 5 + (performance.now() - from) / 100, `${queries('live_sessions')} queries`)
})

t.test('false hints about states send no frame and cost few reads', async (t) => {
  const node = await startNode(t, { env: NO_SWEEP })
  const ana = await node.user('ana')
  const socket = await ana.connect()
  await socket.next('synced')
  await sendTo(node.app, ana.id)
  await dispatch(node.app)
  await socket.next('changes')
  const frames = socket.frames.length
  const liar = await nobody(t, node.databaseUrl)
  const queries = watchQueries(t)
  const from = performance.now()
  for (let n = 0; n < 300; n += 1) {
    const [payload] = encodeChangedInboxes(new Map([[ana.id, 2 ** 40 + n]]))
    await liar.query('select pg_notify($1, $2)', [INBOX_CHANNEL, payload])
  }
  await afterHints(t, node)
  t.equal(socket.frames.length, frames)
  // Ten a second, those that look again for what may not be visible yet, and what afterHints needs.
  const most = ((performance.now() - from) / 1000) * 10 + 20
  t.ok(queries('changes_since') <= most, `${queries('changes_since')} reads`)
  await sendTo(node.app, ana.id)
  await dispatch(node.app)
  t.match(await socket.next('changes'), { unreadCount: 2 }, 'and what is true still comes')
})

t.test('false hints about unchanged posts send no frame', async (t) => {
  const node = await startNode(t, { env: NO_SWEEP })
  const ana = await node.user('ana')
  const socket = await ana.connect()
  const post = await makePost(node.app, ana.id)
  socket.send({ type: 'watch', posts: [post] })
  await Promise.all([socket.next('synced'), socket.next('counts')])
  const liar = await nobody(t, node.databaseUrl)
  const queries = watchQueries(t)
  const from = performance.now()
  await liar.query(`select pg_notify($1, $2 || ',' || g) from generate_series(1, 3000) g`, [COUNTS_CHANNEL, post])
  await afterHints(t, node)
  t.equal(socket.of('counts').length, 1)
  t.ok(queries('watched_counts') <= (performance.now() - from) / 250 + 2)
})

t.test("wake-ups without events delay the dispatcher's next passes", async (t) => {
  const app = await inboxApp(t)
  const [ana = ''] = await makeUsers(app, ['ana'])
  const dispatcher = new Dispatcher(app.pool, app.log, consumersOf(app), () => {})
  t.teardown(() => dispatcher.close())
  const queries = watchQueries(t)
  const from = performance.now()
  await eventually(() => {
    dispatcher.wake()
    return performance.now() - from > 2000
  })
  // Twenty together, then one every 50 ms.
  const most = 22 + (performance.now() - from) / 50
  t.ok(queries('lock_free_positions') <= most, `${queries('lock_free_positions')} passes`)
  await sendTo(app, ana)
  dispatcher.wake()
  await eventually(() => queries('insert_notifications') > 0)
})
