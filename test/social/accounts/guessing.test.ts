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
