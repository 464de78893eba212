import { test } from 'tap'
import { sessionIsLive } from '../../../src/social/sessions/tokens.ts'
import { call, PASSWORD, signIn } from '../../client.ts'
import { setup } from '../../setup.ts'

test('a profile shows the relation of the viewer to the user', async (t) => {
  const { pool, as } = await setup(t)
  const [ana, ben] = [await as('ana'), await as('ben')]
  await ana.follow(ben.id)
  t.match((await ana.get(`/users/${ben.id}`)).viewer, { following: true, followedBy: false, blocked: false })
  t.match((await ben.get(`/users/${ana.id}`)).viewer, { following: false, followedBy: true, blocked: false })
  await pool.query('insert into social.blocks (user_id, other_id) values ($1, $2)', [ben.id, ana.id])
  t.match((await ben.get(`/users/${ana.id}`)).viewer, { blocked: true })
  t.equal((await ana.request('GET', `/users/${ben.id}`)).status, 404, 'who is blocked finds nobody')
})

test('a user is found by name in upper or lower case, but not when deleted or blocking the viewer', async (t) => {
  const { as } = await setup(t)
  const [ana, ben] = [await as('ana'), await as('ben')]
  t.same(await ana.get('/users/by-name/BEN'), await ana.get(`/users/${ben.id}`))
  for (const name of ['be', 'ben_', 'b%25', '@ben'])
    t.match(await ana.request('GET', `/users/by-name/${name}`), { status: 404, body: { code: 'USER_NOT_FOUND' } }, name)
  t.equal((await ana.request('GET', `/users/by-name/${'b'.repeat(31)}`)).status, 400)
  await ben.request('PUT', `/users/${ana.id}/block`)
  t.equal((await ana.request('GET', '/users/by-name/ben')).status, 404)
  t.match(await ben.get('/users/by-name/ana'), { id: ana.id, viewer: { blocked: true } })
  await ben.deleteAccount()
  t.equal((await ana.request('GET', '/users/by-name/ben')).status, 404)
})

test('users edit only their own profile', async (t) => {
  const { as } = await setup(t)
  const [ana, ben] = [await as('ana'), await as('ben')]
  const { status, body } = await ana.request('PATCH', `/users/${ana.id}`, { displayName: 'Ana B.', bio: 'Hello' })
  t.equal(status, 200)
  t.match(body, { id: ana.id, username: 'ana', displayName: 'Ana B.', bio: 'Hello' })
  t.match((await ana.request('PATCH', `/users/${ana.id}`, { bio: '' })).body, { displayName: 'Ana B.', bio: '' })

  t.match(await ben.request('PATCH', `/users/${ana.id}`, { bio: 'x' }), { status: 403, body: { code: 'NOT_YOURSELF' } })
  t.match(await ben.request('DELETE', `/users/${ana.id}`), { status: 403, body: { code: 'NOT_YOURSELF' } })
  for (const wrong of [
    { displayName: '' },
    { displayName: ' ' },
    { bio: 'x'.repeat(501) },
    { role: 'admin' },
    { bio: null },
  ])
    t.match(await ana.request('PATCH', `/users/${ana.id}`, wrong), { status: 400, body: { code: 'VALIDATION_FAILED' } })
  t.match(await ben.get(`/users/${ana.id}`), { displayName: 'Ana B.', bio: '' })
})

test('an unknown user is not found, and a malformed id is refused', async (t) => {
  const { as } = await setup(t)
  const ana = await as('ana')
  for (const path of ['/users/99', '/users/99/followers', '/users/99/following', '/users/99/friends'])
    t.match(await ana.request('GET', path), { status: 404, body: { code: 'USER_NOT_FOUND' } })
  for (const id of ['x', '0', '-1', '1.5', '9999999999999999999', '1%00'])
    t.match(await ana.request('GET', `/users/${id}`), { status: 400, body: { code: 'VALIDATION_FAILED' } })
})

test('followers, following and friends are listed in pages, each once', async (t) => {
  const { as } = await setup(t)
  const ana = await as('ana')
  const others = [await as('ben'), await as('cleo'), await as('dan')]
  for (const other of others) await other.follow(ana.id)
  for (const other of others.slice(1)) await ana.follow(other.id)

  const names = async (list: string) => {
    const found: string[] = []
    let cursor = ''
    do {
      const page = await ana.get(`/users/${ana.id}/${list}?limit=1${cursor && `&cursor=${cursor}`}`)
      t.ok(page.items.length <= 1)
      found.push(...page.items.map((user: { username: string }) => user.username))
      cursor = page.nextCursor
    } while (cursor)
    return found
  }
  t.same(await names('followers'), ['dan', 'cleo', 'ben'])
  t.same(await names('following'), ['dan', 'cleo'])
  t.same(await names('friends'), ['dan', 'cleo'])
  t.match((await ana.get(`/users/${ana.id}/followers`)).items[2], {
    username: 'ben',
    viewer: { following: false, followedBy: true },
  })
  for (const query of ['limit=0', 'limit=101', 'limit=x', 'cursor=x', 'cursor=', 'page=2'])
    t.match(
      await ana.request('GET', `/users/${ana.id}/followers?${query}`),
      { status: 400, body: { code: String } },
      query,
    )
})

test('a deleted user disappears at once from profile, lists, sessions and sign-in', async (t) => {
  const { url, pool, db, as } = await setup(t)
  const [ana, ben] = [await as('ana'), await as('ben')]
  const phone = await signIn(url, 'ana')
  await ana.follow(ben.id)

  t.equal((await ana.deleteAccount()).status, 204)
  t.match(await ben.request('GET', `/users/${ana.id}`), { status: 404, body: { code: 'USER_NOT_FOUND' } })
  t.same((await ben.get(`/users/${ben.id}/followers`)).items, [])
  t.match(await ana.deleteAccount(), { status: 401, body: { code: 'UNAUTHENTICATED' } })
  t.match(await ana.request('GET', '/auth/me'), { status: 401, body: { code: 'UNAUTHENTICATED' } })
  for (const client of [ana, phone]) {
    t.equal(await sessionIsLive(db, client.sessionId), false)
    t.equal((await call(url, 'POST', '/auth/refresh', { refreshToken: client.refreshToken })).status, 401)
  }
  const again = await call(url, 'POST', '/auth/signin', { login: 'ana', password: PASSWORD })
  t.match(again, { status: 401, body: { code: 'BAD_CREDENTIALS' } })

  const { rows } = await pool.query(
    'select username, email, display_name, bio, password_hash from social.users where id = $1',
    [ana.id],
  )
  t.same(rows, [
    {
      username: `deleted_${ana.id}`,
      email: `deleted-${ana.id}@invalid`,
      display_name: 'Deleted user',
      bio: '',
      password_hash: '!',
    },
  ])
  const { rows: fanOuts } = await pool.query('select kind, object_id from notify.fan_outs')
  t.same(fanOuts, [{ kind: 'delete_user', object_id: ana.id }])
  await t.rejects(as('ana'), /USERNAME_TAKEN/, 'nobody else gets the name')
})
