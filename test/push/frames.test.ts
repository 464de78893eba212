import t from 'tap'
import { COUNTS_CHANNEL } from '../../src/base/wake-ups.ts'
import { dispatch, makePost } from '../notify/dispatch/events.ts'
import { eventually } from '../setup.ts'
import { sendTo, startNode, type TestNode, type TestUser } from './node.ts'

async function withNotifications(node: TestNode, count: number): Promise<TestUser> {
  const ana = await node.user('ana')
  await sendTo(node.app, ana.id, count)
  await dispatch(node.app)
  return ana
}

t.test('read, readAll and seen are answered with ok and sent to every socket', async (t) => {
  const node = await startNode(t)
  const ana = await withNotifications(node, 5)
  const [phone, laptop] = [await ana.connect(), await ana.connect()]
  const synced = await phone.next('synced')
  await laptop.next('synced')
  const [id] = phone.upserts
  phone.send({ type: 'read', ids: [id], ref: '1' })
  t.match(await phone.next('ok'), { ref: '1', unreadCount: 4, unseenCount: 4 })
  phone.send({ type: 'seen', upTo: synced.state, ref: '2' })
  t.match(await phone.next('ok'), { ref: '2', unreadCount: 4, unseenCount: 0 })
  phone.send({ type: 'readAll', upTo: synced.state })
  const ok = await phone.next('ok')
  t.match(ok, { unreadCount: 0, unseenCount: 0 })
  t.notOk('ref' in ok)
  for (const socket of [phone, laptop]) {
    const last = await eventually(() => socket.of('changes').find(({ to }) => to === ok.state))
    t.match(last, { unreadCount: 0, unseenCount: 0 })
  }
})

t.test('unread, archive, unarchive and delete work like REST, on every socket', async (t) => {
  const node = await startNode(t)
  const ana = await withNotifications(node, 3)
  const [phone, laptop] = [await ana.connect(), await ana.connect()]
  await phone.next('synced')
  await laptop.next('synced')
  const [id = ''] = phone.upserts
  const done = async (type: string) => {
    phone.send({ type, ids: [id], ref: type })
    const ok = await phone.next('ok')
    t.equal(ok.ref, type)
    const frame = await eventually(() => laptop.of('changes').find(({ to }) => to === ok.state))
    return { ...ok, item: frame.upserts[0], removes: frame.removes }
  }
  t.match(await done('read'), { unreadCount: 2, item: { id, readAt: /./ } })
  t.match(await done('unread'), { unreadCount: 3, item: { id, readAt: null } })
  t.match(await done('archive'), { unreadCount: 2, item: { id, archivedAt: /./ } })
  t.match(await done('unarchive'), { unreadCount: 3, item: { id, archivedAt: null } })
  t.match(await done('delete'), { unreadCount: 2, removes: [id] })
  const ben = await (await node.user('ben')).connect()
  for (const type of ['read', 'unread', 'archive', 'unarchive', 'delete']) {
    ben.send({ type, ids: ['2'], ref: type })
    t.match(await ben.next('ok'), { ref: type, state: ben.of('welcome')[0]?.state }, 'nothing of theirs changed')
  }
  const { rows } = await node.app.pool.query(
    'select read_at, archived_at from notify.notifications where user_id = $1',
    [ana.id],
  )
  t.same(rows, Array(2).fill({ read_at: null, archived_at: null }), 'nor of anybody else')
})

t.test("a frame cannot mark another user's notifications as read", async (t) => {
  const node = await startNode(t)
  const ana = await withNotifications(node, 1)
  const ben = await node.user('ben')
  const socket = await ben.connect()
  socket.send({ type: 'read', ids: ['1'], ref: 'x' })
  t.match(await socket.next('ok'), { ref: 'x', unreadCount: 0 })
  const { rows } = await node.app.pool.query('select read_at from notify.notifications where user_id = $1', [ana.id])
  t.equal(rows[0].read_at, null)
})

t.test('an ack beyond what was sent is capped at what was sent', async (t) => {
  const node = await startNode(t)
  const ana = await withNotifications(node, 2)
  const socket = await ana.connect()
  const { state } = await socket.next('synced')
  const epoch = state.split('.')[0]
  socket.send({ type: 'ack', state: `${epoch}.999` })
  const acked = async () => {
    const { rows } = await node.app.pool.query('select acked_modseq::int as n from notify.inbox where user_id = $1', [
      ana.id,
    ])
    return rows[0].n
  }
  await eventually(async () => (await acked()) === 2)
  await sendTo(node.app, ana.id)
  await dispatch(node.app)
  await eventually(() => socket.upserts.length === 3)
  t.equal(await acked(), 2, 'what came later is not acknowledged')
  const { rows } = await node.app.pool.query(
    'select count(*)::int as n from notify.notifications where user_id = $1 and delivered_at is null',
    [ana.id],
  )
  t.equal(rows[0].n, 1)
  socket.send({ type: 'ack', state: 'other.1' })
  t.match(await socket.next('error'), { code: 'BAD_STATE' })
})

t.test('an ack after a hello with a future state acknowledges nothing', async (t) => {
  const node = await startNode(t)
  const ana = await withNotifications(node, 2)
  const epoch = (await (await ana.connect()).next('synced')).state.split('.')[0]
  const socket = await ana.connect({ since: `${epoch}.999` })
  socket.send({ type: 'ack', state: `${epoch}.999` })
  await socket.next('reset')
  t.match(await socket.next('error'), { code: 'BAD_STATE' })
  const later = await ana.connect()
  t.match(await later.next('synced'), { count: 2 })
})

t.test(
  'an invalid frame is answered with error and changes nothing; more than 10 a minute close with 4400',
  async (t) => {
    const node = await startNode(t)
    const ana = await withNotifications(node, 1)
    const socket = await ana.connect()
    const { state } = await socket.next('synced')
    const epoch = state.split('.')[0]
    const refused = [
      [
        { type: 'readAll', upTo: 'nonsense', ref: '1' },
        { code: 'BAD_STATE', ref: '1' },
      ],
      [
        { type: 'seen', upTo: `${epoch}.99`, ref: '2' },
        { code: 'BAD_STATE', ref: '2' },
      ],
    ] as const
    for (const [frame, error] of refused) {
      socket.send(frame)
      t.match(await socket.next('error'), error)
    }
    const bad = [
      { type: 'read', ids: ['x'], ref: '3' },
      { type: 'read', ids: [], ref: '3' },
      { type: 'read', ids: [1], ref: '3' },
      { type: 'read', ids: Array(501).fill('1'), ref: '3' },
      { type: 'read', ids: ['99999999999999999999'], ref: '3' },
      { type: 'seen', ref: '3' },
      { type: 'nobody', ref: '3' },
      { type: 'ack', state: 1, ref: '3' },
      { type: 'watch', posts: 'all', ref: '3' },
      { type: '__proto__', ref: '3' },
    ]
    for (const frame of bad) {
      socket.send(frame)
      t.match(await socket.next('error'), { code: 'VALIDATION_FAILED', ref: '3', message: /./ })
    }
    const { rows } = await node.app.pool.query('select modseq::int as n from notify.inbox where user_id = $1', [ana.id])
    t.equal(rows[0].n, 1)
    socket.send({ type: 'ping' })
    await socket.next('pong')
    socket.socket.send('{"type":')
    t.equal(await socket.closed(), 4400)
  },
)

t.test(
  'counts of watched posts arrive at once and when they change; a new watch replaces the previous one',
  async (t) => {
    const node = await startNode(t)
    const { pool } = node.app
    const ana = await node.user('ana')
    const [one, two] = [await makePost(node.app, ana.id), await makePost(node.app, ana.id)]
    const socket = await ana.connect()
    await socket.next('synced')
    socket.send({ type: 'watch', posts: [one] })
    t.same((await socket.next('counts')).posts, [{ id: one, likeCount: 0, commentCount: 0 }])
    await pool.query('update social.posts set like_count = 7 where id = $1', [one])
    await pool.query('select pg_notify($1, $2)', [COUNTS_CHANNEL, `${one},${two}`])
    t.same((await socket.next('counts')).posts, [{ id: one, likeCount: 7, commentCount: 0 }])
    await pool.query('update social.posts set comment_count = 1 where id = $1', [one])
    t.same((await socket.next('counts')).posts, [{ id: one, likeCount: 7, commentCount: 1 }], 'also without a hint')
    socket.send({ type: 'watch', posts: [two] })
    t.same((await socket.next('counts')).posts, [{ id: two, likeCount: 0, commentCount: 0 }])
    await pool.query('update social.posts set like_count = like_count + 1')
    t.same((await socket.next('counts')).posts, [{ id: two, likeCount: 1, commentCount: 0 }])
    socket.send({ type: 'watch', posts: Array(201).fill(one) })
    await socket.next('error')
  },
)

t.test(
  'counts of a post are not sent if its author and the watcher block each other, in either direction',
  async (t) => {
    const node = await startNode(t)
    const { pool } = node.app
    const [ana, ben, cem] = [await node.user('ana'), await node.user('ben'), await node.user('cem')]
    const [bens, cems, open] = await Promise.all([ben, cem, ana].map(({ id }) => makePost(node.app, id)))
    await pool.query('insert into social.blocks (user_id, other_id) values ($1, $2), ($3, $1)', [
      ana.id,
      ben.id,
      cem.id,
    ])
    const socket = await ana.connect()
    await socket.next('synced')
    socket.send({ type: 'watch', posts: [bens, cems, open] })
    t.same((await socket.next('counts')).posts, [{ id: open, likeCount: 0, commentCount: 0 }])
    await pool.query('update social.posts set like_count = 1')
    await pool.query('select pg_notify($1, $2)', [COUNTS_CHANNEL, `${bens},${cems},${open}`])
    t.same((await socket.next('counts')).posts, [{ id: open, likeCount: 1, commentCount: 0 }])
  },
)

t.test('a block ends watched counts on both sides within a sweep', async (t) => {
  const node = await startNode(t)
  const { pool } = node.app
  const [ana, ben] = [await node.user('ana'), await node.user('ben')]
  const [anas, bens] = await Promise.all([ana, ben].map(({ id }) => makePost(node.app, id)))
  const sockets = await Promise.all([ana, ben].map((user) => user.connect()))
  for (const socket of sockets) {
    await socket.next('synced')
    socket.send({ type: 'watch', posts: [anas, bens] })
    t.equal((await socket.next('counts')).posts.length, 2)
  }
  await pool.query('insert into social.blocks (user_id, other_id) values ($1, $2)', [ana.id, ben.id])
  const watched = async () => {
    for (const socket of sockets) socket.frames.length = 0
    await pool.query('update social.posts set like_count = like_count + 1')
    await pool.query('select pg_notify($1, $2)', [COUNTS_CHANNEL, `${anas},${bens}`])
    await eventually(() => sockets.every((socket) => socket.of('counts').length > 0))
    return sockets.map((socket) =>
      socket
        .of('counts')
        .at(-1)
        ?.posts.map(({ id }) => id),
    )
  }
  await eventually(async () => (await watched()).every((posts) => posts?.length === 1))
  t.same(await watched(), [[anas], [bens]], 'each goes on with their own')
})

t.test('counts arrive at most four times a second, and the last values always arrive', async (t) => {
  const node = await startNode(t)
  const { pool } = node.app
  const ana = await node.user('ana')
  const post = await makePost(node.app, ana.id)
  const socket = await ana.connect()
  await socket.next('synced')
  const begun = Date.now()
  socket.send({ type: 'watch', posts: [post] })
  for (let likes = 1; likes <= 200; likes += 1) {
    await pool.query('update social.posts set like_count = $2 where id = $1', [post, likes])
    await pool.query('select pg_notify($1, $2)', [COUNTS_CHANNEL, post])
  }
  await eventually(() => socket.of('counts').some(({ posts }) => posts[0]?.likeCount === 200))
  const most = (Date.now() - begun) / 250 + 2
  const frames = socket.of('counts').length
  t.ok(frames <= most, `${frames} frames where ${most} may come`)
})
