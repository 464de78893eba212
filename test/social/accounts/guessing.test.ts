import { test } from 'tap'
import { call, PASSWORD } from '../../client.ts'
import { setup } from '../../setup.ts'

const env = { TRUSTED_PROXIES: 'loopback', RATE_LIMIT_SCALE: '1' }

/** Signs in from an address of one's choice. */
const from = (url: string) => async (address: string, login: string, password: string) =>
  (await call(url, 'POST', '/auth/signin', { login, password }, { 'x-forwarded-for': address })).status

test('wrong passwords for one account are limited across all networks', async (t) => {
  const { url } = await setup(t, { env })
  const signIn = from(url)
  const account = { username: 'carla', email: 'carla@example.org', password: PASSWORD }
  await call(url, 'POST', '/auth/signup', account, { 'x-forwarded-for': '198.51.100.7' })
  for (const login of ['carla', 'nobody_here']) {
    const statuses: number[] = []
    for (let n = 0; n < 14; n++)
      statuses.push(await signIn(`2001:db8:${n}::1`, n % 2 ? login : login.toUpperCase(), 'a wrong one'))
    t.same(statuses, [...Array(10).fill(401), ...Array(4).fill(429)], login)
  }
  t.equal(await signIn('2001:db8:99::1', 'carla', PASSWORD), 429, 'even the right password is refused then')
  t.equal(await signIn('198.51.100.7', 'carla', PASSWORD), 200, 'a network that signed in there before goes on')
  t.equal(await signIn('198.51.100.7', 'carla', 'a wrong one'), 401)
})

test('the username and the address of an account have one budget of wrong passwords, which no answer reveals', async (t) => {
  const { url } = await setup(t, { env })
  const signIn = from(url)
  const account = { username: 'nina', email: 'nina@example.org', password: PASSWORD }
  await call(url, 'POST', '/auth/signup', account, { 'x-forwarded-for': '198.51.100.7' })
  const guesses = async (login: string) => {
    const statuses: number[] = []
    for (let n = 0; n < 11; n++) statuses.push(await signIn(`2001:db8:${n}::1`, login, 'a wrong one'))
    return statuses
  }
  const refused = [...Array(10).fill(401), 429]
  t.same(await guesses('nina'), refused)
  t.equal(await signIn('2001:db8:99::1', 'nina@example.org', PASSWORD), 401, 'the other login has no guess left')
  t.same(await guesses('nina@example.com'), refused, 'the address of nobody')
  t.same(await guesses('NINA@example.org'), [...Array(9).fill(401), 429, 429], 'answers like it')
  const dotted = 'n\u0130na@example.org'
  t.not(await signIn('2001:db8:99::1', dotted, PASSWORD), 200, 'a spelling that only PostgreSQL lowers to it')
  t.equal(await signIn('198.51.100.7', 'nina@example.org', PASSWORD), 200, 'a known network goes on')
})

test('failed sign-ins do not keep a signed-in user from confirming with the password', async (t) => {
  const { url, as } = await setup(t, { env })
  const ana = await as('ana')
  const confirm = () =>
    ana
      .request('PATCH', '/auth/me', { email: 'new@example.org', currentPassword: PASSWORD })
      .then(({ status }) => status)
  for (const login of [`id ${ana.id}`, ana.id, 'ana'])
    for (let n = 0; n < 11; n++) await from(url)(`2001:db8:${n}::1`, login, 'a wrong one')
  t.equal(await confirm(), 200)
  t.equal((await ana.deleteAccount()).status, 204)
})

test('correct passwords do not count as failures', async (t) => {
  const { url, as } = await setup(t, { env })
  await as('ana')
  const signIn = from(url)
  for (let n = 0; n < 12; n++) t.equal(await signIn(`2001:db8:${n}::1`, 'ana', PASSWORD), 200)
})

test('sign-ins from one IPv6 /48 are limited together', async (t) => {
  const { url } = await setup(t, { env: { ...env, RATE_LIMIT_SCALE: '0.1' } })
  const signIn = from(url)
  const statuses: number[] = []
  for (let n = 0; n < 8; n++) statuses.push(await signIn(`2001:db8:1:${n}::1`, `nobody_${n}`, 'a wrong one'))
  t.same(statuses, [...Array(6).fill(401), 429, 429])
  t.equal(await signIn('2001:db8:2::1', 'nobody', 'a wrong one'), 401, 'the next /48 is another')
})
