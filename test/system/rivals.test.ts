import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { followWriter } from '../../src/social/follows/routes.ts'
import { likeWriter } from '../../src/social/likes/routes.ts'
import { inboxOf, noDrift, settled } from '../settled.ts'
import { eventually, setup, startSystem } from '../setup.ts'

t.test(
  'batches of two processes with the same keys in opposite order do not deadlock, and the last answer wins',
  async (t) => {
    const first = await setup(t, { worker: true })
    const second = await startSystem(t, first.databaseUrl)
    const users = await Promise.all(['ana', 'ben', 'cem', 'dia'].map(first.as))
    const posts = (await Promise.all(users.map((user) => user.post('hello')))).map(({ id }) => id)
    const likes = users.flatMap(({ id: userId }) => posts.map((postId) => ({ postId, userId, requestId: 'rival' })))
    const follows = users.flatMap(({ id: followerId }) =>
      users.flatMap(({ id }) => (id === followerId ? [] : [{ followerId, followeeId: id, requestId: 'rival' }])),
    )
    const rivals = [first, second].map(({ app }) => ({ likes: likeWriter(app), follows: followWriter(app) }))
    for (let round = 0; round < 30; round += 1) {
      const last = round % 2 === 1
      await Promise.all(
        rivals.flatMap((writers, backwards) => [
          ...(backwards ? likes.toReversed() : likes).map((item) => writers.likes.add(last ? 'like' : 'unlike', item)),
          ...(backwards ? follows.toReversed() : follows).map((item) =>
            writers.follows.add(last ? 'follow' : 'unfollow', item),
          ),
          writers.likes.add(backwards ? 'like' : 'unlike', likes[round % likes.length] ?? never()),
        ]),
      )
    }
    await Promise.all(likes.map((item) => rivals[0]?.likes.add('like', item)))
    await settled(first)
    const { rows } = await first.pool.query(
      'select (select count(*)::int from social.likes) as likes, (select count(*)::int from social.follows) as follows',
    )
    t.same(rows, [{ likes: likes.length, follows: follows.length }])
    await noDrift(t, first)
  },
)

t.test('an api process paused while it locks an inbox delays only that user', async (t) => {
  const system = await setup(t, { worker: true })
  const users = await Promise.all(['ana', 'ben', 'cem', 'dia', 'eli', 'fay'].map(system.as))
  const [ana, ...others] = users
  if (!ana) throw new Error('nobody signed up')
  const script = fileURLToPath(new URL('inbox-holder.ts', import.meta.url))
  const holder = spawn(process.execPath, [script, system.databaseUrl, ana.id], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => holder.kill('SIGKILL'))
  await once(holder.stdout, 'data')
  holder.kill('SIGSTOP')

  await Promise.all(others.flatMap((other) => users.map((user) => user !== other && other.follow(user.id))))
  const countOf = async (id: string) => {
    const { rows } = await system.pool.query(
      'select sum(actor_count)::int as actors from notify.notifications where user_id = $1',
      [id],
    )
    return rows[0].actors
  }
  await eventually(async () => {
    const counts = await Promise.all(others.map(({ id }) => countOf(id)))
    return counts.every((count) => count === others.length - 1)
  }, 8)
  t.equal(await countOf(ana.id), null, 'her inbox is still locked')
  t.match(await ana.request('GET', '/notifications'), { status: 200 }, 'and can be read')
  const busy = await ana.request('PATCH', '/notifications/mark-all-read')
  t.match(busy, { status: 503, body: { code: 'INBOX_BUSY' } })
  t.equal(busy.headers.get('retry-after'), '1')
  await eventually(async () => (await countOf(ana.id)) === others.length)
  await settled(system)
  await noDrift(t, system)
})

t.test('a closed group marked unread while its successor is open coexists with it, and each counts', async (t) => {
  const system = await setup(t, { worker: true })
  const [ana, ben, cem, dia] = await Promise.all(['ana', 'ben', 'cem', 'dia'].map(system.as))
  if (!ana || !ben || !cem || !dia) throw new Error('nobody signed up')
  const post = await ana.post('hello')
  await ben.like(post.id)
  await settled(system)
  const [former] = (await ana.get('/notifications')).items
  await ana.request('PATCH', `/notifications/${former.id}/read`)
  await cem.like(post.id)
  await settled(system)
  t.match(await ana.request('PATCH', `/notifications/${former.id}/unread`), { status: 200, body: { unreadCount: 2 } })
  await dia.like(post.id)
  t.match(await inboxOf(system, 'ana'), [
    { actors: 'dia, cem', actor_count: 2, read: false },
    { actors: 'ben', actor_count: 1, read: false },
  ])
  await ben.unlike(post.id)
  t.match(await inboxOf(system, 'ana'), [{ actors: 'dia, cem' }])
  t.match(await ana.get('/notifications/unread-count'), { unreadCount: 1, unseenCount: 1 })
  await ben.like(post.id)
  t.match(await inboxOf(system, 'ana'), [{ actors: 'dia, cem' }], 'no like counts twice')
  await noDrift(t, system)
})

function never(): never {
  throw new Error('there is always one')
}
