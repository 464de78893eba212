import t from 'tap'
import type { App } from '../../../src/app.ts'
import { likeWriter } from '../../../src/social/likes/routes.ts'
import { readEvents } from '../../notify/outbox/read-events.ts'
import { setup, startSystem } from '../../setup.ts'
import { sized } from '../../size.ts'

t.test('two processes that like and unlike the same posts append one event per change, alternating', async (t) => {
  const first = await setup(t)
  const second = await startSystem(t, first.databaseUrl)
  const { users, posts } = await seed(first.app, { users: 5, posts: 4 })
  const writers = [likeWriter(first.app), likeWriter(second.app)]
  const requests: Promise<unknown>[] = []
  for (let i = 0; i < sized(4000, 1500); i++) {
    const item = { postId: pick(posts), userId: pick(users), requestId: `storm-${i}` }
    const writer = pick(writers)
    requests.push(writer.add(Math.random() < 0.5 ? 'like' : 'unlike', item))
    if (i % 100 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  // A busy machine may keep some waiting for too long: they are refused, and nothing of them is written.
  const refused = (await Promise.allSettled(requests)).flatMap((outcome) =>
    outcome.status === 'rejected' ? [outcome.reason] : [],
  )
  t.same(
    refused.filter(({ code }) => code !== 'BUSY'),
    [],
  )
  t.ok(refused.length < requests.length / 2, `${refused.length} of ${requests.length} were refused`)

  const { rows: likes } = await first.pool.query(
    `select 'like:' || post_id || ':' || user_id as source from social.likes`,
  )
  const liked = new Set<string>()
  for (const event of await readEvents(first.pool, 'like')) {
    t.equal(event.retracts, liked.has(event.sourceId), `event ${event.id} of ${event.sourceId} takes its turn`)
    if (event.retracts) liked.delete(event.sourceId)
    else liked.add(event.sourceId)
  }
  t.same([...liked].sort(), likes.map((like) => like.source).sort(), 'what the events say is what is liked')
})

t.test('a post deleted during many likes gets no like afterwards', async (t) => {
  const { app, pool, as } = await setup(t)
  const ana = await as('ana')
  const post = await ana.post('Viral')
  const { users } = await seed(app, { users: 500, posts: 0 })
  const writer = likeWriter(app)
  const outcomes = Promise.all(
    users.map(async (userId, i) => {
      if (i >= 200) await new Promise((resolve) => setTimeout(resolve, i / 10))
      return writer.add('like', { postId: post.id, userId, requestId: `storm-${i}` })
    }),
  )
  const { status } = await ana.request('DELETE', `/posts/${post.id}`)
  t.equal(status, 204)
  const liked = (await outcomes).filter((outcome) => outcome !== null).length
  t.equal((await readEvents(pool, 'like')).length, liked)
  const { rows } = await pool.query(
    `select exists (select from notify.outbox l, notify.outbox d
       where l.action = 'like' and d.action = 'post' and d.retracts and l.id > d.id) as late`,
  )
  t.same(rows, [{ late: false }], 'the event of the deletion is the last')
})

async function seed(app: App, { users, posts }: { users: number; posts: number }) {
  const { rows: userRows } = await app.pool.query<{ id: string }>(
    `insert into social.users (username, email, password_hash, display_name)
     select 'storm_' || i, 'storm_' || i || '@example.org', '!', 'Storm' from generate_series(1, $1) i returning id`,
    [users],
  )
  const { rows: postRows } = await app.pool.query<{ id: string }>(
    `insert into social.posts (author_id, body) select $2, 'Storm' from generate_series(1, $1) returning id`,
    [posts, userRows[0]?.id],
  )
  return { users: userRows.map((row) => row.id), posts: postRows.map((row) => row.id) }
}

function pick<T>(values: T[]): T {
  const value = values[Math.floor(Math.random() * values.length)]
  if (value === undefined) throw new Error('nothing to pick from')
  return value
}
