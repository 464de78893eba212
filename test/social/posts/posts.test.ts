import t from 'tap'
import { readEvents } from '../../notify/outbox/read-events.ts'
import { setup } from '../../setup.ts'

t.test('the answer to a new post equals a later read', async (t) => {
  const { as } = await setup(t)
  const ana = await as('ana')
  const post = await ana.post('Hello')
  t.match(post, {
    id: /^\d+$/,
    author: { id: ana.id, username: 'ana', avatarMediaId: null },
    body: 'Hello',
    media: [],
    likeCount: 0,
    commentCount: 0,
    createdAt: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/,
    viewer: { liked: false, bookmarked: false, muted: false },
  })
  t.same(await ana.get(`/posts/${post.id}`), post)
})

t.test('a post notifies each mentioned user once, but not its author', async (t) => {
  const { as, pool } = await setup(t)
  const [ana, ben, carl] = [await as('ana'), await as('ben'), await as('carl')]
  const post = await ana.post('@ben @Carl @ben @ana @nobody_known')
  const event = {
    sourceId: `post:${post.id}`,
    type: 'user.mentioned',
    actorId: ana.id,
    objectType: 'post',
    objectId: post.id,
    threadKey: `post:${post.id}`,
    groupKey: null,
    data: { postId: post.id },
    retracts: false,
  }
  const events = await readEvents(pool, 'post')
  t.match(events, [
    { ...event, recipientId: ben.id, counted: true },
    { ...event, recipientId: carl.id, counted: false },
  ])
  t.equal(events.length, 2)
})

t.test('a post without mentions appends one counted event', async (t) => {
  const { as, pool } = await setup(t)
  const ana = await as('ana')
  const post = await ana.post('Hello')
  const events = await readEvents(pool, 'post')
  t.match(events, [{ sourceId: `post:${post.id}`, counted: true, recipientId: null, type: null, actorId: ana.id }])
})

t.test('posts and comments list their mentions with offsets and current usernames', async (t) => {
  const { as, pool } = await setup(t)
  const [ana, ben, cem] = [await as('ana'), await as('ben'), await as('cem')]
  const text = '👩🏽‍🚀 @Ben, @cem and @nobody_here: @ben!'
  const post = await ana.post(text)
  const found = [
    { id: ben.id, username: 'ben', start: 8, end: 12 },
    { id: cem.id, username: 'cem', start: 14, end: 18 },
    { id: ben.id, username: 'ben', start: 37, end: 41 },
  ]
  t.same(post.mentions, found)
  for (const { start, end, username } of found) t.equal(text.slice(start, end).toLowerCase(), `@${username}`)
  t.same((await ben.get('/posts')).items[0].mentions, found)
  const comment = await ben.comment(post.id, 'Hello @ana')
  const inComment = [{ id: ana.id, username: 'ana', start: 6, end: 10 }]
  t.same([comment.mentions, (await ana.get(`/posts/${post.id}/comments`)).items[0].mentions], [inComment, inComment])

  await pool.query(`update social.users set username = 'benjamin' where id = $1`, [ben.id])
  t.match((await ana.get(`/posts/${post.id}`)).mentions[2], { id: ben.id, username: 'benjamin', start: 37 })
  await pool.query('update social.users set deleted_at = now() where id = $1', [ben.id])
  t.same((await ana.get(`/posts/${post.id}`)).mentions, [found[1]], 'a deleted user is none')
  t.same((await ana.request('PATCH', `/posts/${post.id}`, { body: 'Hi' })).body.mentions, [])
  t.match((await ana.request('PATCH', `/posts/${post.id}`, { body: '@cem' })).body.mentions, [{ start: 0, end: 4 }])
  const mine = await ana.comment(post.id, 'Hello')
  const edited = await ana.request('PATCH', `/comments/${mine.id}`, { body: '@ana @cem' })
  t.match(edited.body.mentions, [{ id: ana.id }, { id: cem.id, start: 5, end: 9 }])
  const many = await ana.post('@cem '.repeat(200))
  t.equal((many.mentions as unknown[]).length, 100, 'so many at most')
})

t.test('only the author edits or deletes a post', async (t) => {
  const { as } = await setup(t)
  const [ana, ben] = [await as('ana'), await as('ben')]
  const { id } = await ana.post('Hello')
  t.match(await ben.request('PATCH', `/posts/${id}`, { body: 'Mine' }), { status: 403, body: { code: 'NOT_AUTHOR' } })
  t.match(await ben.request('DELETE', `/posts/${id}`), { status: 403, body: { code: 'NOT_AUTHOR' } })
  const edited = await ana.request('PATCH', `/posts/${id}`, { body: 'Hello again' })
  t.match(edited, { status: 200, body: { id, body: 'Hello again' } })
  t.ok(edited.body.updatedAt > edited.body.createdAt)
})

t.test('a deleted post disappears, its event counts, and a fan-out removes its notifications', async (t) => {
  const { as, pool } = await setup(t)
  const [ana, ben] = [await as('ana'), await as('ben')]
  await ben.follow(ana.id)
  const { id } = await ana.post('Hello @ben')
  t.equal((await ana.request('DELETE', `/posts/${id}`)).status, 204)
  for (const [method, body] of [['GET'], ['PATCH', { body: 'x' }], ['DELETE']] as const)
    t.match(await ana.request(method, `/posts/${id}`, body), { status: 404, body: { code: 'POST_NOT_FOUND' } })
  for (const scope of ['all', 'following', `user&userId=${ana.id}`])
    t.same((await ben.get(`/posts?scope=${scope}`)).items, [], scope)
  const retracts = (await readEvents(pool, 'post')).filter((event) => event.retracts)
  t.match(retracts, [{ counted: true, recipientId: null, type: null, sourceId: `post:${id}`, data: { postId: id } }])
  t.equal(retracts.length, 1)
  const { rows } = await pool.query('select kind, object_id, thread_key from notify.fan_outs')
  t.same(rows, [{ kind: 'retract_post', object_id: id, thread_key: `post:${id}` }])
})

t.test('posts are listed newest first, in pages', async (t) => {
  const { as } = await setup(t)
  const [ana, ben, carl] = [await as('ana'), await as('ben'), await as('carl')]
  const made: { id: string; by: string }[] = []
  for (const author of [ana, ben, ana, carl, ben, ana])
    made.unshift({ id: (await author.post('Hello')).id, by: author.id })
  await carl.follow(ana.id)
  await carl.follow(ben.id)
  const all = made.map((post) => post.id)
  t.same(await readAll(carl.get, '/posts?limit=2'), all)
  const byAna = made.filter((post) => post.by === ana.id).map((post) => post.id)
  t.same(await readAll(carl.get, `/posts?scope=user&userId=${ana.id}&limit=2`), byAna)
  const followed = made.filter((post) => post.by !== carl.id).map((post) => post.id)
  t.same(await readAll(carl.get, '/posts?scope=following&limit=2'), followed)
  t.same(await readAll(ana.get, '/posts?scope=following'), [])
})

t.test('invalid requests about posts are refused', async (t) => {
  const { as } = await setup(t)
  const ana = await as('ana')
  for (const body of [{}, { body: '' }, { body: 'x'.repeat(5001) }, { body: 'x', extra: 1 }, { body: 7 }])
    t.match(await ana.request('POST', '/posts', body), { status: 400, body: { code: 'VALIDATION_FAILED' } })
  const withMedia = { body: 'x', mediaIds: ['AAAAAAAAAAAAAAAAAAAAAA'] }
  t.match(await ana.request('POST', '/posts', withMedia), { status: 422, body: { code: 'MEDIA_NOT_USABLE' } })
  t.equal((await ana.request('POST', '/posts', { body: 'x', mediaIds: [] })).status, 201)
  for (const query of ['scope=user', 'userId=1', 'scope=nobody', 'limit=0', 'limit=101', 'page=2'])
    t.match(await ana.request('GET', `/posts?${query}`), { status: 400, body: { code: 'VALIDATION_FAILED' } })
  t.match(await ana.request('GET', '/posts?cursor=abc'), { status: 400, body: { code: 'BAD_CURSOR' } })
  t.match(await ana.request('GET', '/posts?scope=user&userId=999'), { status: 404, body: { code: 'USER_NOT_FOUND' } })
})

async function readAll(
  get: (path: string) => Promise<{ items: { id: string }[]; nextCursor: string | null }>,
  path: string,
) {
  const ids: string[] = []
  for (let cursor: string | null | undefined; cursor !== null; ) {
    const page = await get(cursor === undefined ? path : `${path}&cursor=${cursor}`)
    ids.push(...page.items.map((item) => item.id))
    cursor = page.nextCursor
  }
  return ids
}
