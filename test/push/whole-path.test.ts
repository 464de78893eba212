import t, { type Test } from 'tap'
import { signIn, type TestClient } from '../client.ts'
import { cloneDatabase, eventually, setup } from '../setup.ts'
import { startNode } from './node.ts'
import { TestSocket } from './socket.ts'

/** The sweep does not help within the deadline of a test. */
const NO_SWEEP = { SWEEP_INTERVAL_MS: '60000' }

async function connect(t: Test, url: string, client: TestClient): Promise<TestSocket> {
  const socket = await TestSocket.open(t, url.replace(/^http/, 'ws').replace(/(\/ws)?$/, '/ws'))
  socket.send({ type: 'hello', token: client.accessToken })
  await socket.next('synced')
  return socket
}

t.test('changes over REST reach the sockets at once', async (t) => {
  const { as, url } = await setup(t, { worker: true, push: true, env: NO_SWEEP })
  const [ana, ben] = [await as('ana'), await as('ben')]
  const [one, two] = [await ana.post('one'), await ana.post('two')]
  const [phone, laptop] = [await connect(t, url, ana), await connect(t, url, ana)]

  await ben.like(one.id)
  const liked = (await phone.next('changes')).upserts[0]
  t.match(liked, { type: 'post.liked', actors: [{ id: ben.id }], object: { type: 'post', id: one.id }, readAt: null })
  await ben.like(two.id)
  const { to } = await eventually(() => laptop.of('changes').find(({ unreadCount }) => unreadCount === 2))

  const path = `/notifications/${liked?.id}`
  const steps = [
    ['PATCH', `${path}/read`, undefined, { unreadCount: 1, unseenCount: 1 }],
    ['PATCH', `${path}/unread`, undefined, { unreadCount: 2, unseenCount: 2 }],
    ['POST', '/notifications/seen', { upTo: to }, { unreadCount: 2, unseenCount: 0 }],
    ['PATCH', `${path}/archive`, undefined, { unreadCount: 1, unseenCount: 0 }],
    ['PATCH', '/notifications/mark-all-read', undefined, { unreadCount: 0, unseenCount: 0 }],
    ['DELETE', path, undefined, { unreadCount: 0, unseenCount: 0 }],
  ] as const
  for (const [method, where, body, counts] of steps) {
    const answer = await ana.request(method, where, body)
    t.equal(answer.status, 200, `${method} ${where}`)
    for (const socket of [phone, laptop]) {
      const frame = await eventually(() => socket.of('changes').find((changes) => changes.to === answer.body.state))
      t.match(frame, counts)
    }
  }
  t.same(laptop.of('changes').at(-1)?.removes, [liked?.id])
  await ben.unlike(two.id)
  const ofTwo = laptop.of('changes').flatMap(({ upserts }) => upserts.filter(({ object }) => object?.id === two.id))
  for (const socket of [phone, laptop])
    await eventually(() =>
      socket
        .of('changes')
        .at(-1)
        ?.removes.includes(ofTwo[0]?.id ?? ''),
    )
})

t.test("signing out, revoking a session and deleting the account close the session's sockets at once", async (t) => {
  const { as, url } = await setup(t, { push: true, env: NO_SWEEP })
  const first = await as('ana')
  const [second, third] = [await signIn(url, 'ana'), await signIn(url, 'ana')]
  const ben = await as('ben')
  const sockets: TestSocket[] = []
  for (const client of [first, second, third, ben]) sockets.push(await connect(t, url, client))
  const codes = () => sockets.map(({ closeCode }) => closeCode)

  t.equal((await first.request('POST', '/auth/signout', { refreshToken: first.refreshToken })).status, 204)
  await eventually(() => codes()[0])
  t.same(codes(), [4403, undefined, undefined, undefined])
  t.equal((await third.request('DELETE', `/auth/sessions/${second.sessionId}`)).status, 204)
  await eventually(() => codes()[1])
  t.same(codes(), [4403, 4403, undefined, undefined])
  t.equal((await third.deleteAccount()).status, 204)
  await eventually(() => codes()[2])
  t.same(codes(), [4403, 4403, 4403, undefined])

  const late = await TestSocket.open(t, url.replace('http', 'ws').concat('/ws'))
  late.send({ type: 'hello', token: third.accessToken })
  t.equal(await late.closed(), 4403, 'the token outlives its user')
  t.equal(late.frames.length, 0)
})

t.test('likes and comments change the counts of a watched post across two nodes', async (t) => {
  const system = await setup(t, { worker: true, push: true, env: NO_SWEEP })
  const other = await startNode(t, { databaseUrl: system.databaseUrl, env: NO_SWEEP })
  const [ana, ben] = [await system.as('ana'), await system.as('ben')]
  const { id } = await ana.post('hello')
  const sockets = [await connect(t, system.url, ana), await connect(t, other.url, ben)]
  for (const socket of sockets) socket.send({ type: 'watch', posts: [id] })
  for (const socket of sockets) await socket.next('counts')
  await ben.like(id)
  await ben.comment(id, 'well said')
  for (const socket of sockets) {
    const last = await eventually(() => socket.of('counts').find(({ posts }) => posts[0]?.commentCount === 1))
    t.same(last.posts, [{ id, likeCount: 1, commentCount: 1 }])
  }
})

t.test('without wake-ups and with a deaf LISTEN, every change still arrives', async (t) => {
  const system = await setup(t, { worker: true, env: { WAKE_UPS: 'off' } })
  const deaf = { WAKE_UPS: 'off', DATABASE_URL_DIRECT: await cloneDatabase(t) }
  const node = await startNode(t, { databaseUrl: system.databaseUrl, env: deaf })
  const [ana, ben] = [await system.as('ana'), await system.as('ben')]
  const { id } = await ana.post('hello')
  const [phone, laptop] = [await connect(t, node.url, ana), await connect(t, node.url, ana)]
  phone.send({ type: 'watch', posts: [id] })
  await phone.next('counts')

  await ben.like(id)
  t.match((await laptop.next('changes')).upserts, [{ type: 'post.liked' }])
  t.same((await phone.next('counts')).posts, [{ id, likeCount: 1, commentCount: 0 }])
  phone.send({ type: 'read', ids: phone.upserts, ref: '1' })
  t.match(await phone.next('ok'), { unreadCount: 0 })
  t.match(await laptop.next('changes'), { unreadCount: 0 })
  await ana.request('POST', '/auth/signout', { refreshToken: ana.refreshToken })
  t.equal(await laptop.closed(), 4403)
})
