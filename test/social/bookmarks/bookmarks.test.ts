import t from 'tap'
import { settled } from '../../settled.ts'
import { setup } from '../../setup.ts'

t.test('bookmarks are listed for their owner, latest first, each post once', async (t) => {
  const { as } = await setup(t)
  const [ana, ben] = [await as('ana'), await as('ben')]
  const posts = [await ana.post('One'), await ana.post('Two'), await ana.post('Three')]
  const ids = posts.map(({ id }) => id)
  for (const id of [ids[1], ids[2], ids[0], ids[2]])
    t.equal((await ben.request('PUT', `/posts/${id}/bookmark`)).status, 204)
  const first = await ben.get('/bookmarks?limit=2')
  t.match(first.items, [{ id: ids[0], viewer: { bookmarked: true } }, { id: ids[2] }])
  const second = await ben.get(`/bookmarks?limit=2&cursor=${first.nextCursor}`)
  t.match(second, { items: [{ id: ids[1] }], nextCursor: null })
  t.equal(second.items.length, 1)

  t.match((await ben.get(`/posts/${ids[0]}`)).viewer, { bookmarked: true })
  t.match((await ana.get(`/posts/${ids[0]}`)).viewer, { bookmarked: false }, 'nobody else sees it')
  t.same((await ana.get('/bookmarks')).items, [])
  for (let times = 0; times < 2; times += 1)
    t.equal((await ben.request('DELETE', `/posts/${ids[0]}/bookmark`)).status, 204)
  t.match((await ben.get('/bookmarks')).items, [{ id: ids[2] }, { id: ids[1] }])
  for (const method of ['PUT', 'DELETE'])
    t.match(await ben.request(method, '/posts/999/bookmark'), { status: 404, body: { code: 'POST_NOT_FOUND' } })
})

t.test('deleted posts and users leave no bookmarks', async (t) => {
  const system = await setup(t, { worker: true })
  const { as, pool } = system
  const [ana, ben, cem] = [await as('ana'), await as('ben'), await as('cem')]
  const [gone, stays] = [await ana.post('Gone'), await ana.post('Stays')]
  for (const user of [ben, cem]) for (const { id } of [gone, stays]) await user.request('PUT', `/posts/${id}/bookmark`)
  await ana.request('DELETE', `/posts/${gone.id}`)
  t.match((await ben.get('/bookmarks')).items, [{ id: stays.id }])
  t.equal((await ben.get('/bookmarks')).items.length, 1)
  await cem.deleteAccount()
  await settled(system)
  const { rows } = await pool.query('select user_id, post_id from social.bookmarks')
  t.same(rows, [{ user_id: ben.id, post_id: stays.id }])
  t.equal((await pool.query('select from social.posts where id = $1', [gone.id])).rowCount, 0)
})
