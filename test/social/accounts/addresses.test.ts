import { test } from 'tap'
import { emailToken } from '../../../src/notify/channels/email/verify.ts'
import { type Answer, call, PASSWORD } from '../../client.ts'
import { setup, type TestSystem } from '../../setup.ts'

const OWNERS = 'owner@example.org'

async function claims(system: TestSystem, username: string, password: string): Promise<Answer> {
  return call(system.url, 'POST', '/auth/signup', { username, email: 'OWNER@example.org', password })
}
const verify = ({ url, config }: TestSystem, id: string) =>
  call(url, 'POST', '/auth/verify-email', { token: emailToken(config, id, 'OWNER@example.org') })
const signIn = ({ url }: TestSystem, password: string) => call(url, 'POST', '/auth/signin', { login: OWNERS, password })

test('who only claims an address keeps its owner neither from signing up nor from confirming it', async (t) => {
  const system = await setup(t)
  const squatter = await claims(system, 'squatter', 'the squatter’s own')
  const owner = await claims(system, 'proper', PASSWORD)
  t.same([squatter.status, owner.status], [201, 201])
  t.equal((await signIn(system, 'the squatter’s own')).body.user.username, 'squatter', 'until then, who came first')

  t.equal((await verify(system, owner.body.user.id)).status, 204)
  t.match((await signIn(system, PASSWORD)).body, { user: { username: 'proper' } })
  t.match(await signIn(system, 'the squatter’s own'), { status: 401, body: { code: 'BAD_CREDENTIALS' } })
  t.match(await verify(system, squatter.body.user.id), { status: 409, body: { code: 'EMAIL_TAKEN' } })
  t.match(await claims(system, 'third', PASSWORD), { status: 409, body: { code: 'EMAIL_TAKEN' } })
  t.equal((await verify(system, owner.body.user.id)).status, 204, 'repeating it changes nothing')
})

test('of two who confirm one address at a time, one has it', async (t) => {
  const system = await setup(t)
  const accounts = [await claims(system, 'first', PASSWORD), await claims(system, 'second', PASSWORD)]
  const answers = await Promise.all(accounts.map(({ body }) => verify(system, body.user.id)))
  t.same(answers.map(({ status }) => status).sort(), [204, 409])
})

test('the owner of an address can confirm an account by a mail that another one had sent, also when that one is gone', async (t) => {
  const system = await setup(t)
  const squatter = await claims(system, 'squatter', 'the squatter’s own')
  await claims(system, 'proper', PASSWORD)
  // What the mail has: an address is asked once a day, so it is the squatter's.
  const link = `/auth/verify-email?token=${emailToken(system.config, squatter.body.user.id, 'OWNER@example.org')}`
  const named = async () =>
    [...(await call(system.url, 'GET', link)).body.matchAll(/<b>(\w+)<\/b>.*?name="token" value="(.*?)"/g)].map(
      ([, username, token]) => ({ username, token }),
    )
  t.match(await named(), [{ username: 'proper' }, { username: 'squatter' }])
  const headers = { authorization: `Bearer ${squatter.body.accessToken}` }
  t.equal((await call(system.url, 'DELETE', `/users/${squatter.body.user.id}`, undefined, headers)).status, 204)
  const [proper, ...others] = await named()
  t.match([proper, others], [{ username: 'proper' }, []])
  t.equal((await call(system.url, 'POST', '/auth/verify-email', { token: proper?.token })).status, 204)
  await claims(system, 'later', PASSWORD)
  t.match(await named(), [{ username: 'proper' }], 'whoever has the address is the only one')
  t.match((await signIn(system, PASSWORD)).body, { user: { username: 'proper' } })
})

test('until an address is confirmed, it signs in the account that was used from the same network', async (t) => {
  const { url } = await setup(t, { env: { TRUSTED_PROXIES: 'loopback' } })
  const from = (ip: string, path: string, body: object) => call(url, 'POST', path, body, { 'x-forwarded-for': ip })
  const claim = (ip: string, username: string, password: string) =>
    from(ip, '/auth/signup', { username, email: OWNERS, password })
  await claim('192.0.2.1', 'squatter', 'the squatter’s own')
  t.equal((await claim('198.51.100.7', 'proper', PASSWORD)).status, 201)
  const signIn = (ip: string, password: string) => from(ip, '/auth/signin', { login: OWNERS, password })
  t.match(await signIn('198.51.100.7', PASSWORD), { status: 200, body: { user: { username: 'proper' } } })
  t.match(await signIn('192.0.2.1', 'the squatter’s own'), { status: 200, body: { user: { username: 'squatter' } } })
  t.equal((await signIn('203.0.113.9', PASSWORD)).status, 401, 'elsewhere who came first')
})
