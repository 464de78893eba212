import { test } from 'tap'
import { call, PASSWORD } from '../../client.ts'
import { setup } from '../../setup.ts'

const account = (username: string) => ({ username, email: `${username}@example.org`, password: PASSWORD })

test('the name of a deleted user is not reused, also if the user was created by SQL', async (t) => {
  const { url, pool, as } = await setup(t)
  const bob = await as('bob_star')
  await bob.deleteAccount()
  const made = await as('temporary')
  await pool.query(`update social.users set username = 'imported' where id = $1`, [made.id])
  await made.deleteAccount()
  for (const name of ['bob_star', 'b0bstar', 'imported'])
    t.match(
      await call(url, 'POST', '/auth/signup', account(name)),
      { status: 409, body: { code: 'USERNAME_TAKEN' } },
      name,
    )
  const { rows } = await pool.query(`select 1 from social.taken_names where encode(look, 'escape') like '%bob%'`)
  t.same(rows, [], 'the name itself is kept nowhere')
})

test('reserved names and similar ones are refused', async (t) => {
  const { url } = await setup(t)
  for (const name of [
    'admin',
    'support',
    'moderator',
    'root',
    '_admin_',
    'adm1n',
    'adrnin',
    'supp0rt',
    'system',
    'raven_post',
  ])
    t.match(
      await call(url, 'POST', '/auth/signup', account(name)),
      { status: 409, body: { code: 'USERNAME_TAKEN' } },
      name,
    )
  t.equal((await call(url, 'POST', '/auth/signup', account('adminton'))).status, 201)
})

test('a name that looks like an existing one counts as taken', async (t) => {
  const { url, as } = await setup(t)
  await as('willow_10')
  for (const name of ['willow10', 'wi11ow_10', 'vvillow_10', 'willow_l0', 'willow_1o', '_willow_10'])
    t.match(
      await call(url, 'POST', '/auth/signup', account(name)),
      { status: 409, body: { code: 'USERNAME_TAKEN' } },
      name,
    )
  t.equal((await call(url, 'POST', '/auth/signup', account('willow_11'))).status, 201)
})

test('when two similar names are requested concurrently, one is given', async (t) => {
  const { url } = await setup(t)
  const names = ['milo', 'mi1o', 'rnilo', 'mil0']
  const answers = await Promise.all(names.map((name) => call(url, 'POST', '/auth/signup', account(name))))
  t.same(answers.map(({ status }) => status).sort(), [201, 409, 409, 409])
})

test('a display name has no control characters, direction overrides or links, and is visible', async (t) => {
  const { url, as } = await setup(t)
  const ana = await as('ana')
  const refused = [
    'Admin\u202e\nRavenpost Team',
    'Ana\nBeck',
    'Ana\u0007',
    '\u200b',
    '\u3164\u2800',
    'A\u2028B',
    '\u2067Ana',
    'An\u200ba',
    'Ana\u200d',
    'Ana\ufeff',
    'Go to https://evil.example/login',
    'WWW.evil.example',
  ]
  for (const displayName of refused) {
    const shown = encodeURIComponent(displayName)
    const problem = { status: 400, body: { code: 'VALIDATION_FAILED', errors: [{ pointer: '/displayName' }] } }
    t.match(await ana.request('PATCH', `/users/${ana.id}`, { displayName }), problem, shown)
    t.match(await call(url, 'POST', '/auth/signup', { ...account('new_one'), displayName }), problem, shown)
  }
  for (const displayName of [
    'Zoe\u0308',
    'O’Neill, J. (she)',
    '李小龍',
    'می\u200cخواهم',
    '👩‍👩‍👧',
    '🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}',
    '!',
  ])
    t.equal(
      (await ana.request('PATCH', `/users/${ana.id}`, { displayName })).body.displayName,
      displayName.normalize('NFC'),
    )
  // Devanagari Qa is always written as two characters.
  const long = await ana.request('PATCH', `/users/${ana.id}`, { displayName: '\u0958'.repeat(100) })
  t.match(long, { status: 400, body: { code: 'VALIDATION_FAILED' } })
})

test('a profile text can contain line breaks but no other control characters', async (t) => {
  const { as } = await setup(t)
  const ana = await as('ana')
  for (const bio of ['a\u202eb', 'a\u0000b', 'a\tb', 'a\u2029b'])
    t.match(await ana.request('PATCH', `/users/${ana.id}`, { bio }), {
      status: 400,
      body: { errors: [{ pointer: '/bio' }] },
    })
  const bio = 'Two lines\nand https://example.org'
  t.equal((await ana.request('PATCH', `/users/${ana.id}`, { bio })).body.bio, bio)
})
