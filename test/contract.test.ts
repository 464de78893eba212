import { Ajv2020 } from 'ajv/dist/2020.js'
import { type Test, test } from 'tap'
import { grantAdmin } from '../src/social/accounts/admin.ts'
import { call, PASSWORD, signIn } from './client.ts'
import { dispatch, fillInbox } from './notify/dispatch/events.ts'
import { settled } from './settled.ts'
import { setup } from './setup.ts'

/** Numbers and names of the contract that no other test checks. */

const DAY = 86_400_000

test('answers have exactly the properties of the contract', async (t) => {
  const { app, as } = await setup(t, { windowSeconds: 0 })
  const [ana, ben] = [await as('ana'), await as('ben')]
  const user = names(
    'id username displayName bio avatarMediaId followerCount followingCount postCount createdAt viewer',
  )
  const author = names('id username displayName avatarMediaId')
  t.same(shapeOf(ana.user), user)
  t.same(shapeOf(ana.user.viewer), names('following followedBy bell blocked muted'))
  t.same(
    shapeOf(await ana.get('/auth/me')),
    [...user, ...names('email emailVerified pendingEmail role locale timeZone')].sort(),
  )
  const post = await ana.post('Hello')
  t.same(shapeOf(post), names('id author body mentions media likeCount commentCount createdAt updatedAt viewer'))
  t.same(shapeOf((await ana.get(`/posts/${post.id}`)).author), author)
  t.same(shapeOf((await ana.get(`/posts/${post.id}`)).viewer), names('liked bookmarked muted'))
  const comment = await ben.comment(post.id, 'Well said')
  t.same(shapeOf(comment), names('id postId parentId author body mentions replyCount createdAt updatedAt'))
  t.same(await ben.follow(ana.id), { following: true })
  t.same(await ben.unfollow(ana.id), { following: false })
  t.match(await ben.request('PUT', `/users/${ana.id}/bell`, { enabled: true }), { status: 200, body: { bell: true } })
  t.same(await ben.like(post.id), { liked: true, likeCount: 1 }, 'the folded count plus this like')
  t.same(await ben.unlike(post.id), { liked: false, likeCount: 0 })
  await dispatch(app)

  const list = await ana.get('/notifications')
  t.same(shapeOf(list), names('items nextCursor state unreadCount unseenCount'))
  t.same(
    shapeOf(list.items[0]),
    names(
      'id type priority severity title body url data actors actorCount object groupKey fallback createdAt updatedAt deliveredAt readAt archivedAt expiresAt seen silent',
    ),
  )
  t.same(shapeOf(list.items[0].actors[0]), author)
  const [epoch] = list.state.split('.')
  const changes = await ana.get(`/notifications/changes?since=${epoch}.0`)
  t.same(shapeOf(changes), names('from to more upserts removes unreadCount unseenCount'))
  const read = await ana.request('POST', '/notifications/read', { upTo: list.state })
  t.same(shapeOf(read.body), names('updated unreadCount unseenCount state'))
  const wrong = await ana.request('POST', '/posts', { body: '' })
  t.same(shapeOf(wrong.body), names('type title status detail instance code errors'))
  t.same(shapeOf(wrong.body.errors[0]), names('pointer message keyword params'))
  const gone = await ana.request('GET', '/posts/404')
  t.same(shapeOf(gone.body), names('type title status detail instance code'), 'also without anything to add')
})

test('the data of a notification are those that the documents name for its type', async (t) => {
  const system = await setup(t, { worker: true, windowSeconds: 0 })
  const { url, as } = system
  const [ana, ben] = [await as('ana'), await as('ben')]
  await ana.request('PUT', `/users/${ben.id}/bell`, { enabled: true })
  await ben.post('A post with a bell')
  await ben.post('For @ana')
  const post = await ana.post('Hello')
  const { id } = await ana.comment(post.id, 'First')
  await ben.like(post.id)
  await ben.follow(ana.id)
  await ben.comment(post.id, 'Well said')
  await ben.comment(post.id, 'You, @ana?', id)
  await ben.comment(post.id, 'Anybody but @ana?')
  await settled(system)
  const { schemas } = (await call(url, 'GET', '/openapi.json')).body.components
  const [known] = schemas.Notification.properties.type.anyOf
  const { items } = await ana.get('/notifications')
  const ajv = new Ajv2020({ strict: false })
  for (const { type, data } of items) {
    const name = `${type.replaceAll(/(?:^|\.)(\w)/g, (_: string, first: string) => first.toUpperCase())}Data`
    t.ok(ajv.validate({ ...schemas[name], additionalProperties: false }, data), `${type} ${ajv.errorsText()}`)
  }
  t.same(new Set([...items.map(({ type }: { type: string }) => type), 'system']), new Set(known.enum))
})

test('texts and lists have the maximum lengths of the contract', async (t) => {
  const { url, as } = await setup(t)
  const ana = await as('ana')
  const signUp = (username: string, password: string) =>
    call(url, 'POST', '/auth/signup', { username, password, email: `${username}@example.org` })
  await takes(t, 3, 30, (length) => signUp('u'.repeat(length), PASSWORD), 'username')
  await takes(t, 8, 200, (length) => signUp(`p_${length}`, 'p'.repeat(length)), 'password')
  await takes(t, 1, 5000, (length) => ana.request('POST', '/posts', { body: 'x'.repeat(length) }), 'post')
  const comment = (length: number) => ana.request('POST', '/posts/1/comment', { body: 'x'.repeat(length) })
  await takes(t, 1, 2000, comment, 'comment')
  const ids = (length: number) => Array.from({ length }, (_, i) => String(i + 1))
  for (const [length, status] of [
    [0, 200],
    [500, 200],
    [501, 400],
  ] as const)
    t.equal((await ana.request('POST', '/notifications/read', { ids: ids(length) })).status, status, `${length} ids`)
  await takes(t, 1, 100, (limit) => ana.request('GET', `/posts?limit=${limit}`), 'limit')
  for (const username of ['Ana', 'a-b', 'änne', 'a b'])
    t.equal((await signUp(username, PASSWORD)).status, 400, username)
  const media = (count: number) => Array.from({ length: count }, (_, i) => `${i}`.padEnd(22, 'A'))
  for (const [count, status] of [
    [4, 422],
    [5, 400],
  ] as const)
    t.equal(
      (await ana.request('POST', '/posts', { body: 'x', mediaIds: media(count) })).status,
      status,
      `${count} media`,
    )
})

test('a list has 20 items by default, and nextCursor is null on its last page', async (t) => {
  const { app, as } = await setup(t)
  const ana = await as('ana')
  for (let i = 0; i < 21; i++) await ana.post(`Post ${i}`)
  await fillInbox(app, ana.id, 21)
  for (const path of ['/posts', '/notifications', '/notifications/history', '/notifications/pending']) {
    const first = await ana.get(path)
    t.equal(first.items.length, 20, path)
    t.match(await ana.get(`${path}?cursor=${first.nextCursor}`), { items: { length: 1 }, nextCursor: null }, path)
  }
})

test('unscaled rate limits equal those of the contract', async (t) => {
  const { url, pool, as } = await setup(t, { env: { RATE_LIMIT_SCALE: '1' } })
  await as('rita')
  await grantAdmin(pool, 'rita')
  const [ana, rita] = [await as('ana'), await signIn(url, 'rita')]
  const policy = async (method: string, path: string, body?: object) =>
    (await call(url, method, path, body)).headers.get('ratelimit-policy')
  t.equal((await ana.request('GET', '/auth/me')).headers.get('ratelimit-policy'), '"user";q=600;w=60')
  t.equal(await policy('GET', '/auth/me'), '"address";q=60;w=60')
  t.equal(await policy('POST', '/auth/signin', {}), '"sign-in";q=10;w=60')
  t.equal(await policy('POST', '/auth/signup', {}), '"sign-up";q=10;w=60')
  t.equal(await policy('POST', '/auth/password/forgot', {}), '"account-mail";q=10;w=60')
  t.equal(await policy('GET', `/media/${'A'.repeat(22)}/stream`), '"media";q=600;w=60')
  const policyOf = async (method: string, path: string, user: typeof ana) =>
    (await user.request(method, path)).headers.get('ratelimit-policy')
  t.equal(await policyOf('POST', '/media/upload', ana), '"upload";q=30;w=60')
  t.equal(await policyOf('GET', '/admin/system', rita), '"admin";q=120;w=60')
})

test('tokens, notifications and Idempotency-Keys live as long as the contract says', async (t) => {
  const { app, pool, url, as } = await setup(t)
  const ana = await as('ana')
  const [session] = (await ana.get('/auth/sessions')).items
  near(t, Date.parse(session.expiresAt) - Date.parse(session.createdAt), 30 * DAY, 'a refresh token')
  await pool.query(`update social.sessions set expires_at = now() + interval '1 hour'`)
  await call(url, 'POST', '/auth/refresh', { refreshToken: ana.refreshToken })
  const [renewed] = (await ana.get('/auth/sessions')).items
  near(t, Date.parse(renewed.expiresAt) - Date.now(), 30 * DAY, 'the one that follows it')
  const post = await ana.post('Hello')
  await (await as('ben')).like(post.id)
  await pool.query(`select notify.emit('system', array[$1::bigint], 's', 'Hello')`, [ana.id])
  await dispatch(app)
  const { items } = await ana.get('/notifications')
  t.equal(items.length, 2)
  for (const { type, createdAt, expiresAt } of items)
    near(t, Date.parse(expiresAt) - Date.parse(createdAt), 90 * DAY, type)

  const make = () => ana.request('POST', '/posts', { body: 'Once' }, { 'idempotency-key': 'k' })
  const first = await make()
  await pool.query(`update social.idempotency_keys set created_at = now() - interval '23 hours 59 minutes'`)
  t.equal((await make()).body.id, first.body.id)
  await pool.query(`update social.idempotency_keys set created_at = now() - interval '24 hours 1 minute'`)
  t.not((await make()).body.id, first.body.id)
})

test('the list filters by type and priority, reading keeps updatedAt, and a group shows three actors', async (t) => {
  const { app, pool, as } = await setup(t, { windowSeconds: 0 })
  const ana = await as('ana')
  const others = [await as('ben'), await as('cem'), await as('dot'), await as('eve')]
  const post = await ana.post('Hello')
  for (const other of others) {
    await other.like(post.id)
    await other.follow(ana.id)
    await dispatch(app)
  }
  await pool.query(
    `select notify.emit('shop.paid', array[$1::bigint], 's' || n, 'Paid', group_key => 'orders', priority => 'high') from generate_series(1, 2) n`,
    [ana.id],
  )
  await dispatch(app)
  const list = async (query: string) => (await ana.get(`/notifications?${query}`)).items
  const typesOf = async (query: string) => new Set((await list(query)).map(({ type }: { type: string }) => type))
  t.same(await typesOf('type=post.liked&type=shop.paid'), new Set(['post.liked', 'shop.paid']))
  t.match(await list('type=post.liked'), [
    {
      actorCount: 4,
      actors: others
        .slice(1)
        .reverse()
        .map(({ id }) => ({ id })),
    },
  ])
  t.match(
    await list('type=user.followed'),
    [{ actorCount: 4, object: { type: 'user', id: ana.id } }],
    'one for the day',
  )
  t.match(await list('priority=high'), [{ type: 'shop.paid', groupKey: 'orders' }], 'one for its groupKey')
  t.equal((await list('priority=high')).length, 1)
  const before = await list('filter=all')
  t.equal(before.length, 3)
  await ana.request('PATCH', `/notifications/${before[2].id}/read`)
  const after = await list('')
  const order = (items: typeof before) =>
    items.map(({ id, updatedAt }: { id: string; updatedAt: string }) => [id, updatedAt])
  t.same(order(after), order(before))
  t.match(after[2], { readAt: String, deliveredAt: String }, 'read implies delivered')
  t.equal((await list('filter=unread')).length, 2)
})

const names = (text: string) => text.split(' ').sort()

function shapeOf(answer: object): string[] {
  return Object.keys(answer).sort()
}

/** Accepts the shortest and the longest value, and refuses shorter and longer ones. */
async function takes(
  t: Test,
  shortest: number,
  longest: number,
  send: (length: number) => Promise<{ status: number }>,
  what: string,
): Promise<void> {
  for (const length of [shortest, longest]) t.ok((await send(length)).status < 300, `${what} of ${length}`)
  for (const length of [shortest - 1, longest + 1]) t.equal((await send(length)).status, 400, `${what} of ${length}`)
}

function near(t: Test, found: number, expected: number, what: string): void {
  t.ok(Math.abs(found - expected) < 60_000, `${what} lives ${found / DAY} days`)
}
