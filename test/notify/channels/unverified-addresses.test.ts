import { type Test, test } from 'tap'
import { emailToken } from '../../../src/notify/channels/email/verify.ts'
import { sendDeliveries } from '../../../src/notify/channels/send.ts'
import { createSenders } from '../../../src/notify/channels/senders.ts'
import { call, PASSWORD } from '../../client.ts'
import { settled } from '../../settled.ts'
import { eventually, setup, startSystem, type TestSystem } from '../../setup.ts'
import { dispatch } from '../dispatch/events.ts'
import { startMailServer } from './mail-server.ts'

/** Without a worker, tests send by themselves. */
async function mailSystem(t: Test, env: Record<string, string> = {}, worker = false) {
  const server = await startMailServer(t)
  const mail = { SMTP_URL: server.url, MAIL_FROM: 'news@mail.example', PUBLIC_URL: 'https://app.example/' }
  const system = await setup(t, { env: { ...mail, ...env }, windowSeconds: 0, worker })
  const senders = createSenders(system.config, system.pool, {})
  t.teardown(() => senders.email?.close())
  const send = async () => {
    await system.pool.query('update notify.deliveries set due_at = now() where due_at is not null')
    await sendDeliveries({ ...system.app, senders })
    return server.mails
  }
  return { system, send, mails: server.mails }
}

const mailEnv = ({ config }: TestSystem) => ({
  SMTP_URL: config.smtp?.url ?? '',
  MAIL_FROM: config.smtp?.from ?? '',
  PUBLIC_URL: config.publicUrl ?? '',
})

const signUp = ({ url }: TestSystem, username: string, email: string, more: object = {}, from = '192.0.2.1') =>
  call(url, 'POST', '/auth/signup', { username, email, password: PASSWORD, ...more }, { 'x-forwarded-for': from })

test('a mail to an unverified address contains no text of strangers', async (t) => {
  const { system, send } = await mailSystem(t)
  const displayName = 'Account suspended! Sign in at evil.example within 24h'
  t.equal((await signUp(system, 'call_555_0199', 'victim@example.com', { displayName })).status, 201)
  const [mail] = await send()
  t.equal(mail?.to, 'victim@example.com')
  t.notMatch(JSON.stringify(mail), /suspended|evil|call_555/)
  const path = /https:\/\/app\.example(\/auth\/verify-email\?token=[\w.-]+)/.exec(mail?.text ?? '')?.[1] ?? ''
  t.match((await call(system.url, 'GET', path)).body, /the account <b>call_555_0199<\/b>/, 'the page names the account')
  t.match(await call(system.url, 'GET', `${path}x`), { status: 400, body: { code: 'BAD_TOKEN' } })
})

test('an address gets one verification mail a day, for any number of accounts', async (t) => {
  const { system, send } = await mailSystem(t)
  for (let n = 0; n < 3; n++) {
    const { body } = await signUp(system, `temporary_${n}`, n === 1 ? 'Target@Example.com' : 'target@example.com')
    await send()
    const authorization = `Bearer ${body.accessToken}`
    await call(system.url, 'DELETE', `/users/${body.user.id}`, { currentPassword: PASSWORD }, { authorization })
  }
  t.equal((await send()).length, 1)
  const { rows } = await system.pool.query(`select key from social.rate_limits where key like 'ask-address%'`)
  t.notMatch(JSON.stringify(rows), /target/i, 'the address itself is not kept')

  await signUp(system, 'stays', 'target@example.com')
  await system.pool.query(`update social.rate_limits set expire = 1 where key like 'ask-address%'`)
  const other = await startSystem(t, system.databaseUrl, { env: mailEnv(system) })
  await call(other.url, 'POST', '/auth/signin', { login: 'stays', password: PASSWORD })
  t.equal((await send()).length, 2, 'the next day a sign-in asks')
})

test('one network can trigger only few verification mails', async (t) => {
  const { system, send } = await mailSystem(t, { TRUSTED_PROXIES: 'loopback' })
  await system.pool.query(
    `insert into social.rate_limits (key, points, expire) values ('ask-network:2001:db8:7::/48', 1000000, (extract(epoch from now()) * 1000)::bigint + 60000)`,
  )
  t.equal((await signUp(system, 'one', 'one@example.com', {}, '2001:db8:7:1::1')).status, 201)
  t.same(await send(), [])
  t.equal((await signUp(system, 'two', 'two@example.com', {}, '2001:db8:8:1::1')).status, 201)
  t.match(await send(), [{ to: 'two@example.com' }])
})

test('actions of unverified accounts show in the app but are not mailed', async (t) => {
  const { system, mails } = await mailSystem(t, {}, true)
  const [ana, ben, cem] = [await system.as('ana'), await system.as('ben'), await system.as('cem')]
  for (const { id, username } of [ana, cem]) {
    const token = emailToken(system.config, id, `${username}@example.org`)
    t.equal((await call(system.url, 'POST', '/auth/verify-email', { token })).status, 204)
  }
  await ben.post('Win a prize, @ana')
  await cem.post('Coffee, @ana?')
  await settled(system)
  t.equal((await ana.get('/notifications')).items.length, 2)
  await eventually(async () => {
    await system.pool.query('update notify.deliveries set due_at = now() where due_at > now() and attempts = 0')
    return (await system.pool.query('select from notify.deliveries where due_at is not null')).rowCount === 0
  })
  t.match(
    mails.filter(({ headers }) => headers.subject !== 'Is this your address?'),
    [{ to: 'ana@example.org', headers: { subject: 'cem mentioned you in a post' }, text: /Coffee, @ana/ }],
  )
  const { rows } = await system.pool.query(
    'select state, reason from notify.deliveries where notification_id > 0 order by notification_id',
  )
  t.same(rows, [
    { state: 'skipped', reason: 'unverified' },
    { state: 'sent', reason: null },
  ])
})

test('a mail about a group names only verified users and quotes nobody else', async (t) => {
  const { system, send } = await mailSystem(t)
  const [ana, ben, cem] = [await system.as('ana'), await system.as('ben'), await system.as('cem')]
  for (const { id, username } of [ana, cem]) {
    const token = emailToken(system.config, id, `${username}@example.org`)
    t.equal((await call(system.url, 'POST', '/auth/verify-email', { token })).status, 204)
  }
  const post = await ana.post('Hello')
  await cem.comment(post.id, 'Coffee?')
  await ben.comment(post.id, 'Win a prize')
  await dispatch(system.app)
  t.match((await ana.get('/notifications')).items, [
    { title: 'ben and cem commented on your post', body: 'Win a prize' },
  ])
  const mail = (await send()).find(({ to, headers }) => to === 'ana@example.org' && headers['list-unsubscribe'])
  t.equal(mail?.headers.subject, 'cem commented on your post')
  t.notMatch(mail?.text, /ben|prize/i)
})

test('only a verified address gets the mail about a changed password', async (t) => {
  const { system, send } = await mailSystem(t)
  const [ana, ben] = [await system.as('ana'), await system.as('ben')]
  const token = emailToken(system.config, ana.id, 'ana@example.org')
  t.equal((await call(system.url, 'POST', '/auth/verify-email', { token })).status, 204)
  await system.pool.query('delete from notify.deliveries')
  const wrong = { currentPassword: 'a wrong one', password: 'a horse that is new' }
  t.equal((await ana.request('PUT', '/auth/password', wrong)).status, 403)
  for (const who of [ana, ben])
    t.equal((await who.request('PUT', '/auth/password', { ...wrong, currentPassword: PASSWORD })).status, 204)
  const [mail, ...others] = await send()
  t.match(mail, { to: 'ana@example.org', headers: { subject: 'Your password was changed' } })
  t.match(mail?.text, 'The password of your account at https://app.example was changed')
  t.notMatch(mail?.text, /token|horse|unsubscribe/)
  t.same(others, [])
  const again = { currentPassword: wrong.password, password: 'another horse' }
  t.equal((await ana.request('PUT', '/auth/password', again)).status, 204)
  t.equal((await send()).length, 2, 'each change sends a mail')
})
