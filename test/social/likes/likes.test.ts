import t from 'tap'
import { likeWriter } from '../../../src/social/likes/routes.ts'
import { readEvents } from '../../notify/outbox/read-events.ts'
import { setup } from '../../setup.ts'

t.test('a like notifies the author, an unlike retracts it, and repeating either appends no event', async (t) => {
  const { as, pool } = await setup(t)
  const [ana, ben] = [await as('ana'), await as('ben')]
  const post = await ana.post('Hello')
  t.same(await ben.like(post.id), { liked: true, likeCount: 1 })
  t.same(await ben.like(post.id), { liked: true, likeCount: 1 }, 'the folded count, and never less than this like')
  t.match((await ben.get(`/posts/${post.id}`)).viewer, { liked: true })
  t.match((await ana.get(`/posts/${post.id}`)).viewer, { liked: false })
  t.same(await ben.unlike(post.id), { liked: false, likeCount: 0 })
  t.same(await ben.unlike(post.id), { liked: false, likeCount: 0 })

  const event = {
    counted: true,
    sourceId: `like:${post.id}:${ben.id}`,
    type: 'post.liked',
    recipientId: ana.id,
    actorId: ben.id,
    objectType: 'post',
    objectId: post.id,
    threadKey: `post:${post.id}`,
    groupKey: `post.liked:${post.id}`,
    data: { postId: post.id },
  }
  t.match(await readEvents(pool, 'like'), [
    { ...event, retracts: false },
    { ...event, retracts: true },
  ])
  t.equal((await readEvents(pool, 'like')).length, 2)
})

t.test("a like of one's own post is counted, but notifies nobody", async (t) => {
  const { as, pool } = await setup(t)
  const ana = await as('ana')
  const post = await ana.post('Hello')
  t.same(await ana.like(post.id), { liked: true, likeCount: 1 })
  t.match(await readEvents(pool, 'like'), [{ counted: true, type: null, recipientId: null, actorId: ana.id }])
})

t.test('the event carries the request id', async (t) => {
  const { as, pool } = await setup(t)
  const [ana, ben] = [await as('ana'), await as('ben')]
  const post = await ana.post('Hello')
  const { headers } = await ben.request('POST', `/posts/${post.id}/like`)
  t.match(await readEvents(pool, 'like'), [{ requestId: headers.get('x-request-id') }])
})

t.test('a missing or deleted post fails only its own request', async (t) => {
  const { as, pool } = await setup(t)
  const [ana, ben] = [await as('ana'), await as('ben')]
  const posts = await Promise.all(['one', 'two', 'three'].map((body) => ana.post(body)))
  await ana.request('DELETE', `/posts/${posts[1]?.id}`)
  const ids = [...posts.map((post) => post.id), '999999999999999999']
  const answers = await Promise.all(ids.map((id) => ben.request('POST', `/posts/${id}/like`)))
  t.same(
    answers.map((answer) => answer.status),
    [200, 404, 200, 404],
  )
  t.match(answers[1]?.body, { code: 'POST_NOT_FOUND' })
  t.equal((await ben.request('DELETE', `/posts/${posts[1]?.id}/like`)).status, 404)
  t.match(await ben.request('POST', '/posts/abc/like'), { status: 400, body: { code: 'VALIDATION_FAILED' } })
  t.equal((await readEvents(pool, 'like')).length, 2)
})

t.test('users who like a post are listed, latest like first, without blocked users', async (t) => {
  const { as, pool } = await setup(t)
  const [ana, ben, cem, dot] = [await as('ana'), await as('ben'), await as('cem'), await as('dot')]
  const post = await ana.post('Hello')
  for (const who of [dot, ben, cem]) await who.like(post.id)
  const names = async (who: typeof ana, query = '') =>
    (await who.get(`/posts/${post.id}/likes${query}`)).items.map((user: { username: string }) => user.username)
  t.same(await names(ana), ['cem', 'ben', 'dot'])
  await pool.query('update social.likes set created_at = now()')
  t.same(await names(ana), ['dot', 'cem', 'ben'], 'likes of one moment by user id')
  const pages: string[] = []
  let cursor = ''
  do {
    const page = await ana.get(`/posts/${post.id}/likes?limit=1${cursor && `&cursor=${cursor}`}`)
    pages.push(...page.items.map((user: { username: string }) => user.username))
    cursor = page.nextCursor
  } while (cursor)
  t.same(pages, ['dot', 'cem', 'ben'])
  t.match((await ben.get(`/posts/${post.id}/likes`)).items[0], { id: dot.id, viewer: { following: false } })
  await dot.unlike(post.id)
  await ben.request('PUT', `/users/${cem.id}/block`)
  t.same([await names(ana), await names(ben), await names(cem)], [['cem', 'ben'], ['ben'], ['cem']])
  await ana.request('PUT', `/users/${cem.id}/block`)
  for (const [who, id] of [[cem, post.id] as const, [ana, '999'] as const])
    t.match(await who.request('GET', `/posts/${id}/likes`), { status: 404, body: { code: 'POST_NOT_FOUND' } })
})

t.test('a deleted user cannot like', async (t) => {
  const { as, pool } = await setup(t)
  const [ana, ben] = [await as('ana'), await as('ben')]
  const post = await ana.post('Hello')
  await pool.query('update social.users set deleted_at = now() where id = $1', [ben.id])
  t.equal((await ben.request('POST', `/posts/${post.id}/like`)).status, 404)
  t.equal((await pool.query('select from social.likes')).rowCount, 0)
})

t.test('a like that the database refuses fails alone in its batch', async (t) => {
  const { app, as, pool } = await setup(t)
  const [ana, ben] = [await as('ana'), await as('ben')]
  const posts = await Promise.all(Array.from({ length: 9 }, (_, i) => ana.post(`Number ${i}`)))
  const writer = likeWriter(app)
  const outcomes = await Promise.allSettled(
    posts.map((post, i) =>
      writer.add('like', { postId: post.id, userId: ben.id, requestId: i === 4 ? 'a\0b' : 'fine' }),
    ),
  )
  t.same(
    outcomes.map((outcome) => outcome.status === 'fulfilled'),
    posts.map((_, i) => i !== 4),
  )
  t.equal((await readEvents(pool, 'like')).length, 8)
})
