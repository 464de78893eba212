import t from 'tap'
import type { TestClient } from '../../client.ts'
import { inboxOf, noDrift, settled } from '../../settled.ts'
import { setup } from '../../setup.ts'

t.test("a block ends follows in both directions and removes the other user's notifications permanently", async (t) => {
  const system = await setup(t, { worker: true, windowSeconds: 0 })
  const [ana, ben, cem] = await Promise.all(['ana', 'ben', 'cem'].map(system.as))
  if (!ana || !ben || !cem) throw new Error('nobody signed up')
  await ana.follow(ben.id)
  await ben.follow(ana.id)
  const post = await ana.post('hello')
  await ben.like(post.id)
  await cem.like(post.id)
  await ben.comment(post.id, 'hi')
  await settled(system)
  t.equal((await inboxOf(system, 'ana')).length, 3)
  t.match(await ana.request('PUT', `/users/${ben.id}/block`), { status: 204 })
  t.match(await ana.request('PUT', `/users/${ben.id}/block`), { status: 204 }, 'again, and nothing more happens')
  t.match(await inboxOf(system, 'ana'), [{ type: 'post.liked', actors: 'cem', actor_count: 1 }])
  t.same(await inboxOf(system, 'ben'), [], 'the follow was taken back')
  t.match(await ana.get(`/users/${ben.id}`), { viewer: { blocked: true, following: false, followedBy: false } })
  await ben.post('@ana, are you there?')
  t.equal((await inboxOf(system, 'ana')).length, 1)
  t.match(await ana.request('DELETE', `/users/${ben.id}/block`), { status: 204 })
  await ben.comment(post.id, 'now?')
  t.equal((await inboxOf(system, 'ana')).length, 2)
  await noDrift(t, system)
})

t.test('a block hides both users from each other everywhere until it ends', async (t) => {
  const { as } = await setup(t)
  const [ana, ben, cem] = await Promise.all(['ana', 'ben', 'cem'].map(as))
  if (!ana || !ben || !cem) throw new Error('nobody signed up')
  const neutral = await cem.post('Hello, everybody')
  const met: Record<string, string> = {}
  const said: Record<string, string> = {}
  for (const who of [ana, ben]) {
    met[who.id] = (await who.post('hello')).id
    said[who.id] = (await who.comment(neutral.id, 'hi')).id
    await who.follow(cem.id)
    await cem.follow(who.id)
  }
  /** All reads in which `who` could see `other`. */
  const meets = async (who: TestClient, other: TestClient) => {
    const lists = [
      '/posts',
      `/posts/${neutral.id}/comments`,
      `/users/search?q=${other.username}`,
      ...['followers', 'following', 'friends'].map((list) => `/users/${cem.id}/${list}`),
      '/bookmarks',
      '/posts/search?q=hello',
    ]
    const found = await Promise.all(
      lists.map(async (path) => JSON.stringify(await who.get(path)).includes(`"${other.username}"`)),
    )
    const paths = [
      `/posts/${met[other.id]}`,
      `/posts/${met[other.id]}/comments`,
      `/posts?scope=user&userId=${other.id}`,
    ]
    const post = met[other.id]
    const acts: [string, string, unknown?][] = [
      ['POST', `/users/${other.id}/follow`],
      ['PUT', `/users/${other.id}/bell`, { enabled: true }],
      ['POST', `/posts/${post}/like`],
      ['DELETE', `/posts/${post}/like`],
      ['POST', `/posts/${post}/comment`, { body: 'hi' }],
      ['POST', `/posts/${neutral.id}/comment`, { body: 'hi', parentId: said[other.id] }],
      ['PUT', `/posts/${post}/bookmark`],
      ['PUT', `/posts/${post}/mute`],
    ]
    const statuses = await Promise.all(paths.map(async (path) => (await who.request('GET', path)).status))
    for (const [method, path, body] of acts) statuses.push((await who.request(method, path, body)).status)
    for (const path of [`/posts/${post}`, `/comments/${said[other.id]}`])
      statuses.push((await who.request('DELETE', path)).status)
    return [...found, ...statuses]
  }
  await ana.request('PUT', `/posts/${met[ben.id]}/bookmark`)
  await ben.request('PUT', `/posts/${met[ana.id]}/bookmark`)
  const open = [...Array(8).fill(true), 200, 200, 200, 200, 200, 200, 200, 201, 201, 204, 204, 403, 403]
  t.same([await meets(ana, ben), await meets(ben, ana)], [open, open])
  await ana.request('PUT', `/users/${ben.id}/block`)
  const hidden = [...Array(8).fill(false), ...Array(13).fill(404)]
  t.same([await meets(ana, ben), await meets(ben, ana)], [hidden, hidden])
  t.match(await ana.get(`/users/${ben.id}`), { viewer: { blocked: true } }, 'who blocks finds the way to end it')
  for (const path of ['', '/followers'])
    t.match(await ben.request('GET', `/users/${ana.id}${path}`), { status: 404, body: { code: 'USER_NOT_FOUND' } })
  t.equal((await cem.get('/posts')).items.length, 3, 'and from nobody else')
  t.equal((await cem.get(`/posts/${neutral.id}/comments`)).items.length, 2)
  await ana.request('DELETE', `/users/${ben.id}/block`)
  t.same([await meets(ana, ben), await meets(ben, ana)], [open, open])
})

t.test('muted users and threads cause no notifications, the decision names the mute, and mutes expire', async (t) => {
  const system = await setup(t, { worker: true, windowSeconds: 0 })
  const [ana, ben, cem] = await Promise.all(['ana', 'ben', 'cem'].map(system.as))
  if (!ana || !ben || !cem) throw new Error('nobody signed up')
  const [loud, other] = [await ana.post('loud'), await ana.post('other')]
  t.match(await ana.request('PUT', `/users/${ben.id}/mute`, { seconds: 3600 }), { status: 204 })
  const { rows: mutes } = await system.pool.query(
    'select extract(epoch from until - created_at)::int as seconds from social.mutes',
  )
  t.same(mutes, [{ seconds: 3600 }])
  t.match(await ana.request('PUT', `/posts/${loud.id}/mute`), { status: 204 })
  t.match(await ana.get(`/users/${ben.id}`), { viewer: { muted: true } })
  t.match(await ana.get(`/posts/${loud.id}`), { viewer: { muted: true } })
  await ben.like(other.id)
  await cem.like(loud.id)
  t.same(await inboxOf(system, 'ana'), [])
  const { rows } = await system.pool.query('select decided_by from notify.sources where user_id = $1 order by 1', [
    ana.id,
  ])
  t.same(rows, [{ decided_by: 'mute' }, { decided_by: 'threadMute' }])
  await system.pool.query('update social.mutes set until = now()')
  t.match(await ana.get(`/users/${ben.id}`), { viewer: { muted: false } })
  t.match(await ana.request('DELETE', `/posts/${loud.id}/mute`), { status: 204 })
  await ben.comment(other.id, 'hi')
  await cem.comment(loud.id, 'hi')
  t.equal((await inboxOf(system, 'ana')).length, 2)
  await noDrift(t, system)
})

t.test('users list whom they block and mute, in pages, and nobody else can', async (t) => {
  const { as, pool } = await setup(t)
  const [ana, ben, cem, dot] = await Promise.all(['ana', 'ben', 'cem', 'dot'].map(as))
  if (!ana || !ben || !cem || !dot) throw new Error('nobody signed up')
  for (const other of [ben, cem]) {
    await ana.request('PUT', `/users/${other.id}/block`)
    await ana.request('PUT', `/users/${other.id}/mute`)
  }
  await ana.request('PUT', `/users/${dot.id}/mute`, { seconds: 3600 })
  await cem.request('PUT', `/users/${ana.id}/block`)
  const names = async (who: TestClient, list: string) =>
    (await who.get(`/users/${list}`)).items.map((user: { username: string }) => user.username).sort()
  t.same(await names(ana, 'blocked'), ['ben', 'cem'], 'also who blocks the viewer: the block can be ended')
  t.same(await names(ana, 'muted'), ['ben', 'dot'], 'but who blocks the viewer is hidden elsewhere')
  t.match((await ana.get('/users/blocked')).items[0], { viewer: { blocked: true, muted: true } })
  t.same([await names(ben, 'blocked'), await names(ben, 'muted')], [[], []])
  const first = await ana.get('/users/blocked?limit=1')
  const second = await ana.get(`/users/blocked?limit=1&cursor=${first.nextCursor}`)
  t.same([...first.items, ...second.items], (await ana.get('/users/blocked')).items)
  t.equal(second.nextCursor, null)
  await pool.query('update social.mutes set until = now() where other_id = $1', [dot.id])
  await ana.request('DELETE', `/users/${ben.id}/mute`)
  await ana.request('DELETE', `/users/${ben.id}/block`)
  t.same([await names(ana, 'blocked'), await names(ana, 'muted')], [['cem'], []])
})

t.test('blocks and mutes of oneself, unknown users and unknown posts are refused', async (t) => {
  const { as } = await setup(t)
  const ana = await as('ana')
  for (const what of ['block', 'mute']) {
    t.match(await ana.request('PUT', `/users/${ana.id}/${what}`), {
      status: 422,
      body: { code: 'CANNOT_SILENCE_SELF' },
    })
    t.match(await ana.request('PUT', `/users/999/${what}`), { status: 404, body: { code: 'USER_NOT_FOUND' } })
  }
  t.match(await ana.request('PUT', '/posts/999/mute'), { status: 404, body: { code: 'POST_NOT_FOUND' } })
  t.match(await ana.request('DELETE', '/posts/999/mute'), { status: 404 })
  t.match(await ana.request('PUT', `/users/1/mute`, { seconds: 0 }), { status: 400 })
})
