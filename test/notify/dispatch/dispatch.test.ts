import t from 'tap'
import { inboxOf, noDrift, settled } from '../../settled.ts'
import { eventually, setup } from '../../setup.ts'

t.test('likes of one post become one notification with distinct people, latest first', async (t) => {
  const system = await setup(t, { worker: true, windowSeconds: 0 })
  const [ana, ben, cem, dia, eli] = await Promise.all(['ana', 'ben', 'cem', 'dia', 'eli'].map(system.as))
  if (!ana || !ben || !cem || !dia || !eli) throw new Error('nobody signed up')
  const post = await ana.post('hello')
  await ana.like(post.id)
  t.same(await inboxOf(system, 'ana'), [], 'nobody is notified of their own doing')
  for (const liker of [ben, cem, dia, eli]) await liker.like(post.id)
  await ben.like(post.id)
  t.match(await inboxOf(system, 'ana'), [
    { type: 'post.liked', actors: 'eli, dia, cem', actor_count: 4, object: `post:${post.id}` },
  ])
  await eli.unlike(post.id)
  t.match(await inboxOf(system, 'ana'), [{ actors: 'dia, cem, ben', actor_count: 3 }])
  for (const liker of [ben, cem, dia]) await liker.unlike(post.id)
  t.same(await inboxOf(system, 'ana'), [], 'an empty group disappears')
  t.match(await ana.get('/notifications/unread-count'), { unreadCount: 0, unseenCount: 0 })
  await ben.like(post.id)
  t.same(await inboxOf(system, 'ana'), [], 'the same source never notifies twice')
  await noDrift(t, system)
})

t.test('a comment notifies each person once, by the most specific reason', async (t) => {
  const system = await setup(t, { worker: true, windowSeconds: 0 })
  const [ana, ben, cem] = await Promise.all(['ana', 'ben', 'cem'].map(system.as))
  if (!ana || !ben || !cem) throw new Error('nobody signed up')
  const post = await ana.post('hello')
  const first = await ben.comment(post.id, 'first')
  t.match(await inboxOf(system, 'ana'), [{ type: 'comment.created', object: `post:${post.id}`, actors: 'ben' }])
  await cem.comment(post.id, 'hi @ana and @ben and @cem and @nobody', first.id)
  t.match(await inboxOf(system, 'ana'), [{ type: 'user.mentioned' }, { type: 'comment.created', actor_count: 1 }])
  t.match(await inboxOf(system, 'ben'), [{ type: 'comment.replied', object: `comment:${first.id}`, actors: 'cem' }])
  t.same(await inboxOf(system, 'cem'), [])
  await ana.request('DELETE', `/comments/${first.id}`)
  t.match(await ana.request('DELETE', `/comments/${first.id}`), { status: 403 }, 'only the author may')
  t.match(await ben.request('DELETE', `/comments/${first.id}`), { status: 204 })
  t.match(await inboxOf(system, 'ana'), [{ type: 'user.mentioned' }], 'what spoke of the comment is gone')
  t.same(await inboxOf(system, 'ben'), [], 'and the replies to it')
  await noDrift(t, system)
})

t.test(
  'deleting a post removes its notifications from every inbox, also while its comments are dispatched',
  async (t) => {
    const system = await setup(t, { worker: true, windowSeconds: 0 })
    const [ana, ben, cem] = await Promise.all(['ana', 'ben', 'cem'].map(system.as))
    if (!ana || !ben || !cem) throw new Error('nobody signed up')
    const post = await ana.post('hello @cem')
    const first = await ben.comment(post.id, 'first')
    const storm = Array.from({ length: 60 }, (_, i) =>
      [ana, ben, cem][i % 3]?.request('POST', `/posts/${post.id}/comment`, {
        body: `@ana @ben @cem ${i}`,
        parentId: first.id,
      }),
    )
    await new Promise((resolve) => setTimeout(resolve, 30))
    // On a busy machine, the comments hold the post for more than a second. A client then tries again.
    const deleted = await eventually(async () => {
      const answer = await ana.request('DELETE', `/posts/${post.id}`)
      return answer.status !== 503 && answer
    })
    t.match(deleted, { status: 204 })
    const answers = await Promise.all(storm)
    t.ok(answers.every((answer) => answer && [201, 404].includes(answer.status)))
    for (const name of ['ana', 'ben', 'cem']) t.same(await inboxOf(system, name), [], name)
    t.same((await system.pool.query('select id from social.posts')).rows, [], 'and the rows below it are cleared')
    await noDrift(t, system)
  },
)

t.test("a deleted comment does not remove another application's sends with the same comment id", async (t) => {
  const system = await setup(t, { worker: true, windowSeconds: 0 })
  const [ana, ben] = await Promise.all(['ana', 'ben'].map(system.as))
  if (!ana || !ben) throw new Error('nobody signed up')
  const post = await ana.post('hello')
  const { id } = await ben.comment(post.id, 'hi')
  await system.pool.query(
    `select notify.emit('system', array[$1::bigint], 'review', 'Review', object_type => 'comment', object_id => $2)`,
    [ana.id, id],
  )
  t.equal((await inboxOf(system, 'ana')).length, 2)
  await ben.request('DELETE', `/comments/${id}`)
  const left = await inboxOf(system, 'ana')
  t.match(left, [{ type: 'system', object: `comment:${id}` }])
  t.equal(left.length, 1)
})

t.test('a deleted user disappears from every group and count', async (t) => {
  const system = await setup(t, { worker: true, windowSeconds: 0 })
  const [ana, ben, cem] = await Promise.all(['ana', 'ben', 'cem'].map(system.as))
  if (!ana || !ben || !cem) throw new Error('nobody signed up')
  const post = await ana.post('hello')
  const bens = await ben.post('mine @ana')
  await Promise.all([ben.like(post.id), cem.like(post.id), ben.follow(ana.id), ana.follow(ben.id), cem.like(bens.id)])
  await ben.comment(post.id, 'hi @cem')
  await settled(system)
  t.match(await ben.deleteAccount(), { status: 204 })
  t.match(await inboxOf(system, 'ana'), [{ type: 'post.liked', actors: 'cem', actor_count: 1 }])
  t.same(await inboxOf(system, 'cem'), [])
  t.match(await ana.get(`/users/${ana.id}`), { followerCount: 0, followingCount: 0 })
  t.match(await ana.request('GET', `/users/${ben.id}`), { status: 404 })
  const attempts = await Promise.all([
    ben.request('POST', '/posts', { body: 'I am back @ana' }),
    ben.request('POST', `/posts/${post.id}/comment`, { body: 'I am back @ana' }),
    ben.request('POST', `/posts/${post.id}/like`),
    ben.request('POST', `/users/${ana.id}/follow`),
    ben.request('GET', '/notifications'),
  ])
  t.ok(
    attempts.every(({ status }) => status >= 400 && status < 500),
    `an access token that is still valid does nothing: ${attempts.map(({ status }) => status)}`,
  )
  for (const table of ['notify.inbox', 'notify.notifications', 'notify.sources', 'social.likes'])
    t.same((await system.pool.query(`select * from ${table} where user_id = $1`, [ben.id])).rows, [], table)
  await noDrift(t, system)
})

t.test('a blocked user notifies nobody, also when the block commits during the batch', async (t) => {
  const system = await setup(t)
  const [ana, ben] = await Promise.all(['ana', 'ben'].map(system.as))
  if (!ana || !ben) throw new Error('nobody signed up')
  const post = await ana.post('hello')
  await ben.like(post.id)
  const blocker = await system.pool.connect()
  await blocker.query('begin')
  await blocker.query('select 1 from notify.inbox where user_id = $1 for update', [ana.id])
  const { startWorker } = await import('../../../src/worker/start.ts')
  const { tasks } = await import('../../../workers/index.ts')
  const worker = await startWorker(system.app, tasks)
  t.teardown(() => worker.close())
  await eventually(async () => {
    const { rows } = await system.pool.query(
      `select 1 from pg_stat_activity where wait_event_type = 'Lock' and query like '%notify.inbox%' and datname = current_database()`,
    )
    return rows.length > 0
  })
  await blocker.query('insert into social.blocks (user_id, other_id) values ($1, $2)', [ana.id, ben.id])
  await blocker.query('commit')
  blocker.release()
  t.same(await inboxOf(system, 'ana'), [])
  const { rows } = await system.pool.query('select decision, decided_by from notify.sources where user_id = $1', [
    ana.id,
  ])
  t.same(rows, [{ decision: 'suppressed', decided_by: 'block' }], 'and the decision says so')
})

t.test('without any wake-ups, every notification still arrives', async (t) => {
  const system = await setup(t, { worker: true, env: { WAKE_UPS: 'off' } })
  const [ana, ben] = await Promise.all(['ana', 'ben'].map(system.as))
  if (!ana || !ben) throw new Error('nobody signed up')
  const post = await ana.post('hello')
  await ben.like(post.id)
  await ben.follow(ana.id)
  t.match(await inboxOf(system, 'ana'), [{}, {}])
  await ana.request('DELETE', `/posts/${post.id}`)
  t.match(await inboxOf(system, 'ana'), [{ type: 'user.followed' }])
  await noDrift(t, system)
})
