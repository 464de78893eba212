import { type Test, test } from 'tap'
import { emailToken } from '../../../src/notify/channels/email/verify.ts'
import { type Answer, call, PASSWORD } from '../../client.ts'
import { startMailServer } from '../../notify/channels/mail-server.ts'
import { eventually, setup, startSystem, type TestSystem } from '../../setup.ts'

const OWNERS = 'owner@example.org'

async function claims(system: TestSystem, username: string, password: string): Promise<Answer> {
  return call(system.url, 'POST', '/auth/signup', { username, email: 'OWNER@example.org', password })
}
const verify = ({ url, config }: TestSystem, id: string) =>
  call(url, 'POST', '/auth/verify-email', { token: emailToken(config, id, 'OWNER@example.org') })
const signIn = ({ url }: TestSystem, password: string) => call(url, 'POST', '/auth/signin', { login: OWNERS, password })

test('claiming an address does not prevent its owner from signing up or confirming it', async (t) => {
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

test('when two users confirm one address concurrently, one of them gets it', async (t) => {
  const system = await setup(t)
  const accounts = [await claims(system, 'first', PASSWORD), await claims(system, 'second', PASSWORD)]
  const answers = await Promise.all(accounts.map(({ body }) => verify(system, body.user.id)))
  t.same(answers.map(({ status }) => status).sort(), [204, 409])
})

test('the owner of an address can confirm an account by a mail that someone else requested', async (t) => {
  const system = await setup(t)
  const squatter = await claims(system, 'squatter', 'the squatter’s own')
  await claims(system, 'proper', PASSWORD)
  // The link of the mail. An address gets one such mail a day, so it is the one for the squatter's account.
  const link = `/auth/verify-email?token=${emailToken(system.config, squatter.body.user.id, 'OWNER@example.org')}`
  const named = async () =>
    [...(await call(system.url, 'GET', link)).body.matchAll(/<b>(\w+)<\/b>.*?name="token" value="(.*?)"/g)].map(
      ([, username, token]) => ({ username, token }),
    )
  t.match(await named(), [{ username: 'proper' }, { username: 'squatter' }])
  const headers = { authorization: `Bearer ${squatter.body.accessToken}` }
  const currentPassword = 'the squatter’s own'
  t.equal(
    (await call(system.url, 'DELETE', `/users/${squatter.body.user.id}`, { currentPassword }, headers)).status,
    204,
  )
  const [proper, ...others] = await named()
  t.match([proper, others], [{ username: 'proper' }, []])
  t.equal((await call(system.url, 'POST', '/auth/verify-email', { token: proper?.token })).status, 204)
  await claims(system, 'later', PASSWORD)
  t.match(await named(), [{ username: 'proper' }], 'whoever has the address is the only one')
  t.match((await signIn(system, PASSWORD)).body, { user: { username: 'proper' } })
})

test('until an address is verified, sign-in with it selects the account last used from the same network', async (t) => {
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

/** A real mail server, and a worker that sends to it. */
async function mailSystem(t: Test, env: Record<string, string> = {}) {
  const server = await startMailServer(t)
  const mail = { SMTP_URL: server.url, MAIL_FROM: 'news@mail.example', PUBLIC_URL: 'https://app.example' }
  const system = await setup(t, { env: { ...mail, ...env }, worker: true })
  const mailTo = (address: string, subject: string) =>
    eventually(() => server.mails.find(({ to, headers }) => to === address && headers.subject === subject))
  const confirm = async (address: string, subject: string) => {
    const token = /verify-email\?token=([\w.-]+)/.exec((await mailTo(address, subject)).text)?.[1]
    return call(system.url, 'POST', '/auth/verify-email', { token })
  }
  return { ...system, server, mailTo, confirm }
}

test('a new address takes effect once it is verified, and the former address is notified', async (t) => {
  const { as, url, mailTo, confirm, server, pool } = await mailSystem(t)
  const [ana, ben] = [await as('ana'), await as('ben')]
  t.equal((await confirm('ana@example.org', 'Is this your address?')).status, 204)
  t.equal((await confirm('ben@example.org', 'Is this your address?')).status, 204)
  t.match(await ana.get('/auth/me'), { emailVerified: true, pendingEmail: null })
  const change = (email: string, currentPassword?: string) =>
    ana.request('PATCH', '/auth/me', { email, ...(currentPassword && { currentPassword }) })
  t.match(await change('new@example.org'), { status: 403, body: { code: 'WRONG_PASSWORD' } })
  t.match(await change('new@example.org', 'a wrong one'), { status: 403, body: { code: 'WRONG_PASSWORD' } })
  t.match(await change('BEN@example.org', PASSWORD), { status: 409, body: { code: 'EMAIL_TAKEN' } })
  t.match(await change('new@example.org', PASSWORD), {
    status: 200,
    body: { email: 'ana@example.org', emailVerified: true, pendingEmail: 'new@example.org' },
  })
  t.notMatch((await mailTo('ana@example.org', 'Your address is about to change')).text, /new@/)
  const login = (name: string) => call(url, 'POST', '/auth/signin', { login: name, password: PASSWORD })
  t.equal((await login('new@example.org')).status, 401, 'until then the former one')

  t.equal((await confirm('new@example.org', 'Confirm your new address')).status, 204)
  t.match(await ana.get('/auth/me'), { email: 'new@example.org', emailVerified: true, pendingEmail: null })
  t.same([(await login('new@example.org')).status, (await login('ana@example.org')).status], [200, 401])
  t.equal((await confirm('new@example.org', 'Confirm your new address')).status, 204, 'repeating it changes nothing')

  await ana.request('PATCH', '/auth/me', { locale: 'de-AT' })
  await change('other@example.org', PASSWORD)
  t.match((await mailTo('new@example.org', 'Deine Adresse soll geändert werden')).text, /möchte diese Adresse/)
  const path = /\/auth\/verify-email\?token=[\w.-]+/.exec(
    (await mailTo('other@example.org', 'Bestätige deine neue Adresse')).text,
  )?.[0]
  t.match(await call(url, 'GET', path ?? ''), { status: 200, body: /lang="de"[\s\S]*Mails für das Konto <b>ana/ })
  t.match(await change('new@example.org', PASSWORD), { body: { pendingEmail: null } }, 'taken back')
  t.match(await confirm('other@example.org', 'Bestätige deine neue Adresse'), { body: { code: 'BAD_TOKEN' } })
  const { rows } = await pool.query(`select reachable_by from notify.inbox where user_id = $1`, [ana.id])
  t.same(rows, [{ reachable_by: ['email'] }])
  t.same(server.mails.filter(({ to }) => to === 'ben@example.org').length, 1, 'nobody else is written to')
  t.match(await ben.get('/auth/me'), { email: 'ben@example.org' })
})

test('an address that its account never verified gets no mail about its replacement', async (t) => {
  const server = await startMailServer(t)
  const env = { SMTP_URL: server.url, MAIL_FROM: 'news@mail.example', PUBLIC_URL: 'https://app.example' }
  const { as, pool, databaseUrl } = await setup(t, { env })
  const verify = (when: string | null) => pool.query('update social.users set email_verified_at = $1', [when])
  const change = async (name: string) => {
    const user = await as(name)
    await verify(name === 'ana' ? 'now' : null)
    await user.request('PATCH', '/auth/me', { email: `new_${name}@example.org`, currentPassword: PASSWORD })
  }
  await change('ana')
  await change('ben')
  const { rows } = await pool.query(`select target from notify.deliveries where target like 'emailChanging%'`)
  t.same(rows, [{ target: 'emailChanging ana@example.org' }], 'the verified one')

  await startSystem(t, databaseUrl, { env, worker: true })
  await eventually(
    async () => (await pool.query('select from notify.deliveries where due_at is not null')).rowCount === 0,
  )
  const subjects = server.mails.map(({ headers }) => headers.subject)
  t.ok(subjects.includes('Confirm your new address'))
  t.notOk(subjects.includes('Your address is about to change'), 'nor one that is no longer verified')
})

test('users can request the verification mail again a few times', async (t) => {
  const { as, pool, server } = await mailSystem(t, { RATE_LIMIT_SCALE: '1' })
  const ana = await as('ana')
  const asked = () => server.mails.filter(({ headers }) => headers.subject === 'Is this your address?').length
  const resend = async () => (await ana.request('POST', '/auth/verify-email/resend')).status
  const isSent = async () => (await pool.query(`select from notify.deliveries where state = 'sent'`)).rowCount === 1
  for (let n = 1; n <= 6; n++) {
    await eventually(async () => asked() === n && (await isSent()))
    t.equal(await resend(), n < 6 ? 202 : 429)
  }
  t.equal(asked(), 6, 'one at sign-up')
})
