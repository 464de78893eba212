import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import t from 'tap'
import { COUNTS_CHANNEL } from '../../src/base/wake-ups.ts'
import type { LiveContent } from '../../src/protocol/live-content.ts'
import { live } from '../../src/social/live.ts'
import { makePost } from '../notify/dispatch/events.ts'
import { settled } from '../settled.ts'
import { eventually, setup } from '../setup.ts'
import { startNode, type TestNode, type TestUser, watchQueries } from './node.ts'
import { TestSocket } from './socket.ts'

const NO_SWEEP = { SWEEP_INTERVAL_MS: '60000' }

const commentsOf = (socket: TestSocket) => socket.of('comments').flatMap(({ comments }) => comments)
const removesOf = (socket: TestSocket) => socket.of('comments').flatMap(({ removes }) => removes)
const newerOf = (socket: TestSocket) => socket.of('feed').at(-1)?.newer

/** Watches, and waits until the node has taken that in. */
async function watch(sockets: TestSocket[], wanted: object): Promise<void> {
  const before = sockets.map((socket) => socket.of('pong').length)
  for (const socket of sockets) {
    socket.send({ type: 'watch', ...wanted })
    socket.send({ type: 'ping' })
  }
  await eventually(() => sockets.every((socket, place) => socket.of('pong').length > (before[place] ?? 0)), 60)
}

/** Inserts comments as requests do; the hint is the caller's. */
async function write(node: TestNode, postId: string, authorId: string, count = 1, body = 'hello'): Promise<string[]> {
  const { rows } = await node.app.pool.query<{ id: string }>(
    `insert into social.comments (post_id, author_id, body)
     select $1, $2, $4 from generate_series(1, $3::int) n returning id`,
    [postId, authorId, count, body],
  )
  return rows.map(({ id }) => id)
}

async function hint(node: TestNode, payload: string): Promise<void> {
  await node.app.pool.query('select pg_notify($1, $2)', [COUNTS_CHANNEL, payload])
}

t.test('comments of the watched post appear and disappear; blocks hide them in both directions', async (t) => {
  const system = await setup(t, { worker: true, push: true })
  const { url, as } = system
  const [ana, ben, cem, dia] = await Promise.all(['ana', 'ben', 'cem', 'dia'].map(as))
  if (!ana || !ben || !cem || !dia) return
  const connect = async ({ accessToken }: { accessToken: string }) => {
    const socket = await TestSocket.open(t, `${url.replace('http', 'ws')}/ws`)
    socket.send({ type: 'hello', token: accessToken })
    await socket.next('synced')
    return socket
  }
  const post = (await ana.post('Hello')).id
  const before = await cem.comment(post, 'before anybody watches')
  await dia.request('PUT', `/users/${cem.id}/block`)
  const [anas, cems, dias] = [await connect(ana), await connect(cem), await connect(dia)]
  await watch([anas, cems, dias], { posts: [post], comments: post })

  const first = await ben.comment(post, 'first, @ana')
  const shown = (await anas.next('comments')).comments
  t.same(shown, [(await ana.get(`/posts/${post}/comments`)).items[1]], 'as REST shows it, and nothing older')
  const ofCem = await cem.comment(post, 'of cem')
  const ofDia = await dia.comment(post, 'of dia')
  await eventually(() => commentsOf(anas).length === 3)
  await eventually(() => commentsOf(cems).length === 2 && commentsOf(dias).length === 2)
  t.same(
    commentsOf(cems).map(({ id }) => id),
    [first.id, ofCem.id],
  )
  t.same(
    commentsOf(dias).map(({ id }) => id),
    [first.id, ofDia.id],
  )

  const edited = await ben.request('PATCH', `/comments/${first.id}`, { body: 'edited, @ana' })
  await eventually(() => commentsOf(anas).some(({ body }) => body === 'edited, @ana'))
  t.same(commentsOf(anas).at(-1), edited.body, 'an edited comment comes again')
  await ana.request('PATCH', `/comments/${ofCem.id}`, { body: 'not hers' })

  const reply = await ana.comment(post, 'a reply', first.id)
  await ben.request('DELETE', `/comments/${first.id}`)
  await eventually(() => commentsOf(anas).some(({ id, body }) => id === first.id && body === ''))
  t.same(removesOf(anas), [], 'what is kept for its replies is emptied')
  await ana.request('DELETE', `/comments/${reply.id}`)
  await cem.request('DELETE', `/comments/${before.id}`)
  await eventually(() => removesOf(anas).length === 3)
  t.same(new Set(removesOf(anas)), new Set([first.id, reply.id, before.id]), 'and goes with the last of them')
  await eventually(() => removesOf(dias).length === 2)
  t.notOk(removesOf(dias).includes(before.id), 'of whom a block hides nothing is known')

  await ana.request('PUT', `/users/${dia.id}/block`)
  const frames = dias.of('comments').length
  const last = await ben.comment(post, 'dia may not see the post now')
  await eventually(() => commentsOf(anas).some(({ id }) => id === last.id))
  t.equal(dias.of('comments').length, frames)

  await watch([anas], { posts: [post] })
  const late = await ben.comment(post, 'ana watches no comments now')
  await eventually(() => commentsOf(cems).some(({ id }) => id === late.id))
  t.notOk(commentsOf(anas).some(({ id }) => id === late.id))

  const seen = cems.of('comments').length
  await ana.request('DELETE', `/posts/${post}`)
  await settled(system)
  t.equal(cems.of('comments').length, seen, 'of a deleted post nothing comes')
})

t.test('a feed gets the number of newer posts that the watcher can see; a deletion lowers it', async (t) => {
  const { url, as } = await setup(t, { worker: true, push: true })
  const [ana, ben, cem] = await Promise.all(['ana', 'ben', 'cem'].map(as))
  if (!ana || !ben || !cem) return
  await ana.follow(ben.id)
  await ben.post('older than the watch')
  const open = async (feed: 'all' | 'following', who = ana) => {
    const socket = await TestSocket.open(t, `${url.replace('http', 'ws')}/ws`)
    socket.send({ type: 'hello', token: who.accessToken })
    await socket.next('synced')
    await watch([socket], { posts: [], feed })
    return socket
  }
  const [all, following, bens] = [await open('all'), await open('following'), await open('all', ben)]
  await ben.request('PUT', `/users/${cem.id}/block`)
  await cem.post('of a stranger, whom ben blocked')
  const own = await ben.post('of one who is followed')
  await eventually(() => newerOf(all) === 2 && newerOf(following) === 1 && newerOf(bens) === 1)
  t.match(await all.next('feed'), { feed: 'all' })
  t.match(await following.next('feed'), { feed: 'following' })
  await ben.request('DELETE', `/posts/${own.id}`)
  await eventually(() => newerOf(all) === 1 && newerOf(following) === 0)
  await watch([all], { posts: [], feed: 'all' })
  const frames = all.of('feed').length
  await ben.post('newer than the second watch')
  t.equal((await eventually(() => all.of('feed')[frames])).newer, 1, 'each watch counts anew')
})

t.test('the sweep finds posts and comments without hints and from slow transactions', async (t) => {
  const node = await startNode(t)
  const ana = await node.user('ana')
  const post = await makePost(node.app, ana.id)
  const slow = new pg.Client({ connectionString: node.databaseUrl })
  await slow.connect()
  t.teardown(() => slow.end())
  await slow.query('begin')
  const { rows } = await slow.query<{ id: string }>(
    `insert into social.comments (post_id, author_id, body) values ($1, $2, 'slow') returning id`,
    [post, ana.id],
  )
  const socket = await ana.connect()
  await socket.next('synced')
  await watch([socket], { posts: [], comments: post, feed: 'all' })
  const [quick = ''] = await write(node, post, ana.id)
  await eventually(() => commentsOf(socket).some(({ id }) => id === quick))
  await slow.query('commit')
  await eventually(() => commentsOf(socket).some(({ id }) => id === rows[0]?.id))
  await node.app.pool.query('update social.comments set deleted_at = now() where id = $1', [quick])
  await eventually(() => removesOf(socket).includes(quick))
  await makePost(node.app, ana.id)
  await eventually(() => newerOf(socket) === 1)
  t.same(commentsOf(socket).length, 2, 'each once')
})

t.test('a first read that waits for the database makes nothing old new', async (t) => {
  const late = { comments: 2000, posts: 2000 }
  const content: LiveContent = {
    ...live,
    async changedComments(...args) {
      await sleep(late.comments)
      late.comments = 0
      return live.changedComments(...args)
    },
    async newPosts(...args) {
      await sleep(late.posts)
      late.posts = 0
      return live.newPosts(...args)
    },
  }
  const node = await startNode(t, { env: NO_SWEEP, limits: { betweenContentMs: 50 }, content })
  const ana = await node.user('ana')
  const post = await makePost(node.app, ana.id)
  const socket = await ana.connect()
  await socket.next('synced')
  const insert = (table: string, columns: string, values: string) =>
    node.app.pool.query(
      `insert into social.${table} (author_id, body, created_at, updated_at${columns})
       values (${ana.id}, 'old', now() - interval '9 seconds', now() - interval '9 seconds'${values})`,
    )
  await insert('comments', ', post_id', `, ${post}`)
  await insert('posts', '', '')
  await watch([socket], { posts: [], comments: post, feed: 'all' })
  await eventually(() => late.comments + late.posts === 0)
  await hint(node, `c${post},f`)
  const [fresh] = await write(node, post, ana.id)
  await makePost(node.app, ana.id)
  await hint(node, `c${post},f`)
  await eventually(() => commentsOf(socket).some(({ id }) => id === fresh) && newerOf(socket) !== undefined)
  await sleep(500)
  t.same([commentsOf(socket).length, newerOf(socket)], [1, 1])
})

t.test('500 watchers cost as much as one, and unwatched posts cost nothing', async (t) => {
  const node = await startNode(t, { env: NO_SWEEP, limits: { socketsPerUser: 100, betweenContentMs: 50 } })
  const users = await Promise.all(['ana', 'ben', 'cem', 'dia', 'eva'].map((name) => node.user(name)))
  const [ana, ben] = users
  if (!ana || !ben) return
  const post = await makePost(node.app, ana.id)
  const queries = watchQueries(t)
  const [first] = await open(ana, 1)
  if (!first) return

  await write(node, post, ana.id)
  await hint(node, `c${post},${post},f`)
  await watch([first], { posts: [] })
  t.equal(queries('"live_'), 0, 'nobody watches')

  const one = await costOfNews([first])
  const many = [first, ...(await open(ana, 99))]
  for (const user of users.slice(1)) many.push(...(await open(user, 100)))
  t.equal(many.length, 500)
  t.same(await costOfNews(many), one)
  t.match(one, { '"live_comments"': 1, '"live_posts"': 1, '"live_comments_shown"': 1, '"live_blocks"': 2 })

  async function open(user: TestUser, count: number): Promise<TestSocket[]> {
    const sockets: TestSocket[] = []
    while (sockets.length < count)
      sockets.push(
        ...(await Promise.all(Array.from({ length: Math.min(25, count - sockets.length) }, () => user.connect()))),
      )
    await eventually(() => sockets.every((socket) => socket.of('synced').length > 0), 60)
    return sockets
  }

  /** Statements by name for one new comment and one new post, when all these sockets watch. */
  async function costOfNews(sockets: TestSocket[]): Promise<Record<string, number>> {
    if (!ben) return {}
    // A first comment shows that every watch has been read in.
    await watch(sockets, { posts: [], comments: post, feed: 'all' })
    const [ready] = await write(node, post, ben.id)
    await makePost(node.app, ben.id)
    await hint(node, `c${post},f`)
    await eventually(() => sockets.every((socket) => commentsOf(socket).some(({ id }) => id === ready)), 60)
    await eventually(() => sockets.every((socket) => newerOf(socket) === 1), 60)
    const names = ['"live_comments"', '"live_comments_shown"', '"live_blocks"', '"live_posts"', '"live_posts_deleted"']
    // A read for the first ones may still be under way.
    await eventually(async () => {
      const now = String(names.map(queries))
      await sleep(200)
      return now === String(names.map(queries))
    })
    const before = names.map(queries)
    const [id] = await write(node, post, ben.id)
    await makePost(node.app, ben.id)
    await hint(node, `c${post},f`)
    await eventually(() => sockets.every((socket) => commentsOf(socket).some((comment) => comment.id === id)), 60)
    await eventually(() => sockets.every((socket) => newerOf(socket) === 2), 60)
    return Object.fromEntries(names.map((name, place) => [name, queries(name) - (before[place] ?? 0)]))
  }
})

t.test('a burst arrives completely in at most two frames a second', async (t) => {
  const node = await startNode(t, { env: NO_SWEEP })
  const ana = await node.user('ana')
  const post = await makePost(node.app, ana.id)
  const socket = await ana.connect()
  await socket.next('synced')
  await watch([socket], { posts: [], comments: post, feed: 'all' })
  const begun = performance.now()
  for (let n = 0; n < 60; n += 1) {
    await write(node, post, ana.id, 2)
    await makePost(node.app, ana.id)
    await hint(node, `c${post},f`)
  }
  await eventually(() => commentsOf(socket).length === 120 && newerOf(socket) === 60)
  const most = (performance.now() - begun) / 500 + 2
  t.ok(socket.of('comments').length <= most, `${socket.of('comments').length} frames where ${most} may come`)
  t.ok(socket.of('feed').length <= most, `${socket.of('feed').length} frames where ${most} may come`)
  t.equal(new Set(commentsOf(socket).map(({ id }) => id)).size, 120, 'each once')
})

t.test('a socket that does not read gets the latest comments later, and others get everything', async (t) => {
  const node = await startNode(t, { env: NO_SWEEP, limits: { betweenContentMs: 20, maxBuffered: 100_000 } })
  const [ana, ben] = [await node.user('ana'), await node.user('ben')]
  const post = await makePost(node.app, ana.id)
  const [socket, slow] = [await ana.connect(), await ben.connect()]
  for (const each of [socket, slow]) {
    await each.next('synced')
    await watch([each], { posts: [], comments: post })
  }
  slow.socket.pause()
  const ids: string[] = []
  for (let n = 0; n < 24; n += 1) {
    ids.push(...(await write(node, post, ana.id, 50, '🐦'.repeat(2000))))
    await hint(node, `c${post}`)
    await eventually(() => commentsOf(socket).length === ids.length)
  }
  t.ok(node.push.stats().buffered < 2_000_000, `${node.push.stats().buffered} octets wait`)
  slow.socket.resume()
  await eventually(() => commentsOf(slow).at(-1)?.id === ids.at(-1))
  const got = commentsOf(slow).map(({ id }) => id)
  t.ok(got.length < ids.length, 'some were passed over')
  t.same(got.slice(-200), ids.slice(-200))
})
