import t from 'tap'
import type { TestClient } from '../../client.ts'
import { setup } from '../../setup.ts'

t.test('the search lists usernames that begin with the text, then display names, then other matches', async (t) => {
  const { as } = await setup(t)
  const ana = await as('ana')
  await named(await as('xavier'), 'Anatole')
  await named(await as('joana'), 'Jo')
  await named(await as('annabel'), 'Bel')
  await named(await as('zoe'), 'Mariana')
  await named(await as('bob'), 'Bob')
  t.same(await search(ana, 'ana'), ['ana', 'xavier', 'joana', 'zoe'])
  t.same(await search(ana, 'an'), ['ana', 'annabel', 'xavier'], 'too short to look inside names')
  t.same(await search(ana, ' ANA '), ['ana', 'xavier', 'joana', 'zoe'], 'case and blanks do not matter')
  t.same(await search(ana, 'nobody'), [])
})

t.test('search pages contain each user once, also during sign-ups', async (t) => {
  const { as, pool } = await setup(t)
  const ana = await as('ana')
  await pool.query(
    `insert into social.users (username, email, password_hash, display_name)
     select 'kim_' || n, n || '@example.org', '!', 'K' from generate_series(10, 19) n
     union all select 'user_' || n, n || '@example.org', '!', 'Kim ' || n from generate_series(20, 24) n
     union all select 'joakim_' || n, n || '@example.org', '!', 'J' from generate_series(30, 34) n`,
  )
  const found: string[] = []
  let cursor = ''
  for (let page = 0; page < 10; page += 1) {
    const { items, nextCursor } = await ana.get(`/users/search?q=kim&limit=3${cursor}`)
    found.push(...items.map(({ username }: { username: string }) => username))
    if (nextCursor === null) break
    cursor = `&cursor=${nextCursor}`
    if (page === 0) await as('kim_00')
  }
  t.equal(found.length, 20)
  t.equal(new Set(found).size, 20)
  t.same(found.slice(0, 2), ['kim_10', 'kim_11'])
})

t.test('the search treats pattern characters as text and omits deleted users', async (t) => {
  const { as } = await setup(t)
  const [ana, ben] = [await as('ana'), await as('ben_x')]
  for (const text of ['%', '_', 'b%n', '\\', "'; drop table social.users; --"])
    t.same(await search(ana, text), [], text)
  t.same(await search(ana, 'ben_'), ['ben_x'])
  await ben.deleteAccount()
  for (const text of ['ben_', 'deleted']) t.same(await search(ana, text), [], text)
  for (const query of ['', '?q=', '?q=%20', `?q=${'x'.repeat(101)}`, '?q=a&cursor=x'])
    t.equal((await ana.request('GET', `/users/search${query}`)).status, 400, query)
})

async function named(user: TestClient, displayName: string): Promise<void> {
  await user.request('PATCH', `/users/${user.id}`, { displayName })
}

async function search(user: TestClient, text: string): Promise<string[]> {
  const { items } = await user.get(`/users/search?q=${encodeURIComponent(text)}`)
  return items.map(({ username }: { username: string }) => username)
}
