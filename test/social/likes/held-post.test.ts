import pg from 'pg'
import t, { type Test } from 'tap'
import { setup, type TestSystem } from '../../setup.ts'

async function hold(t: Test, { databaseUrl }: TestSystem, row: string): Promise<() => Promise<void>> {
  const holder = new pg.Client({ connectionString: databaseUrl })
  await holder.connect()
  t.teardown(() => holder.end())
  await holder.query('begin')
  await holder.query(`select from social.${row} for update`)
  return async () => void (await holder.query('rollback'))
}

const statuses = (answers: { status: number }[]) => [...new Set(answers.map(({ status }) => status))].sort()

t.test('likes of a locked post are answered with 503, and likes of other posts are written', async (t) => {
  const system = await setup(t)
  const [ana, ben, cem] = [await system.as('ana'), await system.as('ben'), await system.as('cem')]
  const held = await ana.post('held')
  const other = await ana.post('other')
  const others = [other, ...(await Promise.all(Array.from({ length: 18 }, (_, i) => ana.post(`post ${i}`))))]
  const release = await hold(t, system, `posts where id = ${held.id}`)
  for (const [method, expected] of [
    ['POST', true],
    ['DELETE', false],
  ] as const) {
    const ofHeld = [ben, cem].map((person) => person.request(method, `/posts/${held.id}/like`))
    const ofOthers = await Promise.all(others.map(({ id }) => ben.request(method, `/posts/${id}/like`)))
    t.same(statuses(ofOthers), [200])
    t.ok(ofOthers.every(({ body }) => body.liked === expected))
    t.same(statuses(await Promise.all(ofHeld)), [503])
  }
  const soon = ben.request('POST', `/posts/${held.id}/like`)
  await cem.like(other.id)
  await release()
  t.match(await soon, { status: 200, body: { liked: true } }, 'what is let go in time is written')
  t.match(await cem.request('DELETE', `/posts/${held.id}/like`), { status: 200, body: { liked: false } })
  t.match(await cem.request('POST', '/posts/999999/like'), { status: 404 })
})

t.test('like, unlike and like of a locked post are written in order', async (t) => {
  const system = await setup(t)
  const ana = await system.as('ana')
  const post = await ana.post('Hello')
  const release = await hold(t, system, `posts where id = ${post.id}`)
  const writes = ['POST', 'DELETE', 'POST', 'DELETE', 'POST'].map((method) =>
    ana.request(method, `/posts/${post.id}/like`),
  )
  await ana.like((await ana.post('other')).id)
  await release()
  t.same(
    (await Promise.all(writes)).map(({ body }) => body.liked),
    [true, false, true, false, true],
  )
  const { rows } = await system.pool.query(
    `select retracts from notify.outbox where action = 'like' and object_id = $1 order by id`,
    [post.id],
  )
  t.same(
    rows.map(({ retracts }) => retracts),
    [false, true, false, true, false],
  )
})

t.test('an unlike after a like that waits for a lock is answered with 503', async (t) => {
  const system = await setup(t)
  const [ana, ben] = [await system.as('ana'), await system.as('ben')]
  const [held, other] = [await ana.post('held'), await ana.post('other')]
  await Promise.all([ben.like(held.id), ben.like(other.id)])
  await hold(t, system, `likes where post_id = ${held.id}`)
  const [refused, written] = await Promise.all(
    [held, other].map(({ id }) => ben.request('DELETE', `/posts/${id}/like`)),
  )
  t.match([refused, written], [{ status: 503 }, { status: 200, body: { liked: false } }])
})

t.test('follows of a locked user are answered with 503, and other follows are written', async (t) => {
  const system = await setup(t)
  const [held, ...others] = await Promise.all(Array.from({ length: 8 }, (_, i) => system.as(`user${i}`)))
  const [ana, ...rest] = others
  if (!held || !ana) throw new Error('nobody signed up')
  await hold(t, system, `users where id = ${held.id}`)
  for (const action of ['follow', 'unfollow'] as const) {
    const ofHeld = ana.request('POST', `/users/${held.id}/${action}`)
    const ofOthers = await Promise.all(rest.map(({ id }) => ana.request('POST', `/users/${id}/${action}`)))
    t.same(statuses(ofOthers), [200])
    t.match(await ofHeld, { status: 503, body: { code: 'BUSY' } })
  }
  t.match(await ana.request('POST', '/users/999999/follow'), { status: 404 })
})

t.test('comments on a locked post take no connections from other requests', async (t) => {
  const system = await setup(t, { env: { POOL_SIZE: '2' } })
  const [ana, ben] = [await system.as('ana'), await system.as('ben')]
  const [held, other] = [await ana.post('held'), await ana.post('other')]
  const parent = await ana.comment(other.id, 'First')
  await hold(t, system, `posts where id = ${held.id}`)
  await hold(t, system, `comments where id = ${parent.id}`)
  const refused = Array.from({ length: 20 }, () => [
    ben.request('POST', `/posts/${held.id}/comment`, { body: 'Hello' }),
    ben.request('POST', `/posts/${other.id}/comment`, { body: 'Hello', parentId: parent.id }),
  ]).flat()
  t.match(await ben.request('POST', `/posts/${other.id}/comment`, { body: 'Hello' }), { status: 201 })
  t.same(statuses(await Promise.all(refused)), [503])
})
