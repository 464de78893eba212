import { test } from 'tap'
import { call, PASSWORD, type TestClient } from '../client.ts'
import { setup, startSystem } from '../setup.ts'

const refused = { status: 400, body: { code: 'BAD_CURSOR' } }
const nextOf = async (client: TestClient, path: string): Promise<string> =>
  (await client.get(`${path}${path.includes('?') ? '&' : '?'}limit=1`)).nextCursor

test('a cursor continues after its page, and is refused after any change to it', async (t) => {
  const { as } = await setup(t)
  const ana = await as('ana')
  const posts = [await ana.post('One'), await ana.post('Two'), await ana.post('Three')].map(({ id }) => id)
  const cursor = await nextOf(ana, '/posts')
  const next = await ana.get(`/posts?limit=1&cursor=${cursor}`)
  t.equal(next.items[0].id, posts[1])

  for (let at = 0; at < cursor.length; at++) {
    const changed = cursor.slice(0, at) + (cursor[at] === 'A' ? 'B' : 'A') + cursor.slice(at + 1)
    t.match(await ana.request('GET', `/posts?cursor=${changed}`), refused, `changed at ${at}`)
  }
  const madeUp = Buffer.from('999').toString('base64url')
  for (const other of ['', madeUp, cursor.slice(1), cursor.slice(0, -1), `${cursor}A`, `${cursor}%3D`, `${cursor}!`])
    t.match(await ana.request('GET', `/posts?cursor=${other}`), refused, other)
})

test('a cursor is valid for one list and one user only', async (t) => {
  const { as } = await setup(t)
  const [ana, ben] = [await as('ana'), await as('ben')]
  for (const body of ['One', 'Two']) {
    const { id } = await ana.post(body)
    for (const who of [ana, ben]) await who.request('PUT', `/posts/${id}/bookmark`)
  }
  const cursor = await nextOf(ana, '/bookmarks')
  t.equal((await ana.request('GET', `/bookmarks?cursor=${cursor}`)).status, 200)
  t.match(await ana.request('GET', `/posts?cursor=${cursor}`), refused)
  t.match(await ben.request('GET', `/bookmarks?cursor=${cursor}`), refused)
})

test('a cursor works at every process, also while the secret is rotated', async (t) => {
  const one = await setup(t)
  const former = 'a secret that only the tests know, 32 bytes and more'
  const secret = 'another secret that only the tests know, as long'
  const changing = await startSystem(t, one.databaseUrl, {
    env: { JWT_SECRET: secret, JWT_SECRET_PREVIOUS: former },
  })
  const changed = await startSystem(t, one.databaseUrl, { env: { JWT_SECRET: secret } })
  const ana = await one.as('ana')
  await ana.post('One')
  await ana.post('Two')
  const cursor = await nextOf(ana, '/posts')
  const { accessToken } = (await signInAt(changing.url)).body
  const at = async (url: string) =>
    (await fetch(`${url}/posts?cursor=${cursor}`, { headers: { authorization: `Bearer ${accessToken}` } })).status
  t.equal(await at(changing.url), 200)
  t.equal(await at(changed.url), 400)
})

const signInAt = (url: string) => call(url, 'POST', '/auth/signin', { login: 'ana', password: PASSWORD })
