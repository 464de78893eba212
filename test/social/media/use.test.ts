import type { Pool } from 'pg'
import { test } from 'tap'
import { eventually, setup } from '../../setup.ts'
import { multipart, picture, send, uploaded } from './files.ts'

const unused = async (pool: Pool) =>
  (await pool.query<{ id: string }>('select id from social.media where unused_since is not null')).rows.map(
    ({ id }) => id,
  )

test('a post shows up to four media of its author, in order', async (t) => {
  const { url, as, pool } = await setup(t)
  const [ana, ben] = [await as('ana'), await as('ben')]
  const ids = [] as string[]
  for (let i = 0; i < 5; i++) ids.push(await uploaded(url, ana, picture(100 + i)))
  const [a = '', b = '', c = '', d = '', e = ''] = ids
  const post = (mediaIds: unknown, who = ana) => who.request('POST', '/posts', { body: 'Look', mediaIds })

  t.match(await post([a, b, c, d, e]), { status: 400 })
  t.match(await post([a, a]), { status: 400 })
  t.match(await post(['short']), { status: 400 })
  for (const [mediaIds, who] of [
    [[a], ben],
    [[a, 'AAAAAAAAAAAAAAAAAAAAAA'], ana],
  ] as const)
    t.match(await post(mediaIds, who), { status: 422, body: { code: 'MEDIA_NOT_USABLE' } })
  t.equal((await unused(pool)).length, 5, 'what was refused used nothing')

  const made = await post([c, a, d, b])
  t.equal(made.status, 201)
  const media = [102, 100, 103, 101].map((size, i) => ({
    id: [c, a, d, b][i],
    mime: 'image/png',
    size,
    width: 1,
    height: 1,
  }))
  t.same(made.body.media, media)
  const { id } = made.body
  t.same((await ben.get(`/posts/${id}`)).media, media)
  t.same((await ben.get('/posts')).items[0].media, media)
  t.same((await ana.request('PATCH', `/posts/${id}`, { body: 'Look again' })).body.media, media)
  t.match(await post([a]), { status: 422, body: { code: 'MEDIA_NOT_USABLE' } }, 'in one post only')
  t.same((await ana.post('Without')).media, [])
  t.same(await unused(pool), [e])
})

test('when two posts use the same file concurrently, one gets it', async (t) => {
  const { url, as } = await setup(t)
  const ana = await as('ana')
  const id = await uploaded(url, ana)
  const posts = await Promise.all([1, 2, 3].map(() => ana.request('POST', '/posts', { body: 'Mine', mediaIds: [id] })))
  t.same(posts.map(({ status }) => status).sort(), [201, 422, 422])
})

test('a profile shows an image of its owner until it is changed', async (t) => {
  const { url, as, pool } = await setup(t)
  const [ana, ben] = [await as('ana'), await as('ben')]
  const [one, two, bens] = [await uploaded(url, ana), await uploaded(url, ana), await uploaded(url, ben)]
  const set = (avatarMediaId: unknown) => ana.request('PATCH', `/users/${ana.id}`, { avatarMediaId })
  t.match(await set(one), { status: 200, body: { avatarMediaId: one } })
  t.match(await set(one), { status: 200, body: { avatarMediaId: one } })
  t.same((await ana.post('Hello')).author, { id: ana.id, username: 'ana', displayName: 'ana', avatarMediaId: one })
  t.match(await set(bens), { status: 422, body: { code: 'MEDIA_NOT_USABLE' } })
  t.match(await ana.request('POST', '/posts', { body: 'Me', mediaIds: [one] }), { status: 422 })
  t.equal((await ben.get(`/users/${ana.id}`)).avatarMediaId, one, 'what was refused changed nothing')
  t.match(await set(two), { status: 200, body: { avatarMediaId: two } })
  t.same((await unused(pool)).sort(), [one, bens].sort())
  t.match(await ana.request('PATCH', `/users/${ana.id}`, { bio: 'Hi' }), { status: 200, body: { avatarMediaId: two } })
  t.match(await set(null), { status: 200, body: { avatarMediaId: null } })

  const webm = Buffer.concat([Buffer.from('1a45dfa3934282847765626d', 'hex'), Buffer.alloc(64)])
  const sent = multipart(webm)
  const video = await send(url, ana, new Uint8Array(sent.body), sent.headers)
  t.match(video, { status: 201, body: { mime: 'video/webm' } })
  t.match(await set(video.body.id), { status: 422, body: { code: 'MEDIA_NOT_USABLE' } })
})

test('media are deleted with their post and with their user', async (t) => {
  const { url, as, pool } = await setup(t, { worker: true })
  const [ana, ben] = [await as('ana'), await as('ben')]
  const shared = picture(400_000)
  const [inPost, kept] = [await uploaded(url, ana, shared), await uploaded(url, ben, shared)]
  const stream = async (id: string) => (await fetch(`${url}/media/${id}/stream`)).status
  const post = (await ana.request('POST', '/posts', { body: 'Look', mediaIds: [inPost] })).body
  await ana.request('DELETE', `/posts/${post.id}`)
  await eventually(async () => (await stream(inPost)) === 404)
  t.equal(await stream(kept), 200, 'the file stays while another holds it')

  const [avatar, second] = [await uploaded(url, ben), await uploaded(url, ben)]
  await uploaded(url, ben)
  await ben.request('PATCH', `/users/${ben.id}`, { avatarMediaId: avatar })
  await ben.request('POST', '/posts', { body: 'Look', mediaIds: [kept, second] })
  await ben.deleteAccount()
  await eventually(async () => (await pool.query('select from social.media_contents')).rowCount === 0)
  await eventually(async () => (await pool.query('select from social.posts')).rowCount === 0)
  for (const table of ['media', 'media_chunks'])
    t.equal((await pool.query(`select from social.${table}`)).rowCount, 0, table)
})
