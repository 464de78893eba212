import { test } from 'tap'
import { hashPassword, passwordFits } from '../../../src/social/passwords/passwords.ts'
import { sessionIsLive } from '../../../src/social/sessions/tokens.ts'
import { call, PASSWORD, signIn } from '../../client.ts'
import { setup } from '../../setup.ts'

const NEW = 'a horse that is new'

test('common passwords are refused, and the own name and address', async (t) => {
  const { url, as } = await setup(t)
  const account = { username: 'rosamunde', email: 'rosa.munde@example.org' }
  const ana = await as('ana')
  for (const password of [
    'password',
    'Password1',
    '12345678',
    'iloveyou',
    'Rosamunde',
    'rosamunde2026',
    'rosa.munde',
    account.email,
  ])
    t.match(
      await call(url, 'POST', '/auth/signup', { ...account, password }),
      { status: 400, body: { code: 'PASSWORD_TOO_COMMON' } },
      password,
    )
  const change = { currentPassword: PASSWORD, password: 'qwertyuiop' }
  t.match(await ana.request('PUT', '/auth/password', change), { status: 400, body: { code: 'PASSWORD_TOO_COMMON' } })
  t.equal((await call(url, 'POST', '/auth/signup', { ...account, password: PASSWORD })).status, 201)
})

test('a user changes the password by the current one; all other sessions end', async (t) => {
  const { url, db, as } = await setup(t)
  const ana = await as('ana')
  const [phone, ben] = [await signIn(url, 'ana'), await as('ben')]
  const change = (currentPassword: string, password: string) =>
    ana.request('PUT', '/auth/password', { currentPassword, password })
  t.match(await change('a wrong one', NEW), { status: 403, body: { code: 'WRONG_PASSWORD' } })
  t.match(await change(PASSWORD, PASSWORD), { status: 400, body: { code: 'PASSWORD_UNCHANGED' } })
  t.equal(await sessionIsLive(db, phone.sessionId), true, 'what was refused ended nothing')

  t.equal((await change(PASSWORD, NEW)).status, 204)
  t.equal((await phone.request('GET', '/auth/me')).status, 401)
  t.same([await sessionIsLive(db, ana.sessionId), await sessionIsLive(db, ben.sessionId)], [true, true])
  const signInWith = async (password: string) =>
    (await call(url, 'POST', '/auth/signin', { login: 'ana', password })).status
  t.same([await signInWith(PASSWORD), await signInWith(NEW)], [401, 200])
})

test('of two changes at a time, one is made', async (t) => {
  const { as } = await setup(t)
  const ana = await as('ana')
  const answers = await Promise.all(
    [1, 2, 3].map((n) => ana.request('PUT', '/auth/password', { currentPassword: PASSWORD, password: `${NEW} ${n}` })),
  )
  t.same(answers.map(({ status }) => status).sort(), [204, 403, 403])
})

test('guessing the current password is limited like signing in', async (t) => {
  const { as } = await setup(t, { env: { RATE_LIMIT_SCALE: '1' } })
  const ana = await as('ana')
  const guess = () => ana.request('PUT', '/auth/password', { currentPassword: 'a wrong one', password: NEW })
  const statuses: number[] = []
  for (let n = 0; n < 11; n++) statuses.push((await guess()).status)
  t.same(statuses, [...Array(10).fill(403), 429])
})

test('a password without an account never fits', async (t) => {
  t.equal(await passwordFits(undefined, 'nobody has this password'), false)
})

test('hashes beyond the share of one network are refused, and another network still has room', async (t) => {
  const hashFor = (of: string) => hashPassword(PASSWORD, { of, most: 1 })
  // Three run and one waits.
  const flood = Array.from({ length: 4 }, () => hashFor('192.0.2.0'))
  await t.rejects(hashFor('192.0.2.0'), { code: 'BUSY', retryAfter: 1 })
  await t.resolves(hashFor('198.51.100.0'))
  await Promise.all(flood)
  await t.resolves(hashFor('192.0.2.0'), 'there is room again')
})
