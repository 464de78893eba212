import type { AddressInfo } from 'node:net'
import { SMTPServer } from 'smtp-server'
import { type Test, test } from 'tap'
import { emailToken } from '../../../src/notify/channels/email/verify.ts'
import { sendDeliveries } from '../../../src/notify/channels/send.ts'
import { createSenders } from '../../../src/notify/channels/senders.ts'
import { call, PASSWORD, type TestClient } from '../../client.ts'
import { settled } from '../../settled.ts'
import { eventually, setup, type TestSystem } from '../../setup.ts'
import { startMailServer } from './mail-server.ts'

async function mailSystem(t: Test) {
  const server = await startMailServer(t)
  const env = { SMTP_URL: server.url, MAIL_FROM: 'Ravenpost <news@mail.example>', PUBLIC_URL: 'https://app.example/' }
  const system = await setup(t, { worker: true, windowSeconds: 0, env, senders: { timeoutMs: 500 } })
  const [ana, ben, cem] = [await system.as('ana'), await system.as('ben'), await system.as('cem')]
  await eventually(() => server.mails.length === 3)
  const questions = server.mails.splice(0)
  // Who verified nothing has nothing mailed.
  await system.pool.query('update social.users set email_verified_at = now() where id = any($1)', [[ben.id, cem.id]])
  const verify = async ({ id, username }: TestClient) => {
    const token = emailToken(system.config, id, `${username}@example.org`)
    const { status } = await call(system.url, 'POST', '/auth/verify-email', { token })
    if (status !== 204) throw new Error(`answered ${status}`)
  }
  return { server, system, ana, ben, cem, questions, verify }
}

async function deliveries({ pool }: TestSystem) {
  const { rows } = await pool.query(
    'select d.*, due_at <= now() as due from notify.deliveries d where notification_id <> 0 order by queued_at, notification_id',
  )
  return rows
}

/** Ends the delay of digests and the wait of retries. */
const hurry = ({ pool }: TestSystem) =>
  pool.query('update notify.deliveries set due_at = now() where due_at is not null')

test('sign-up sends a verification mail, and no other mail is sent before verification', async (t) => {
  const { server, system, ana, ben, questions } = await mailSystem(t)
  const question = questions.find(({ to }) => to === 'ana@example.org')
  t.match(question?.headers, { subject: 'Is this your address?', from: 'Ravenpost <news@mail.example>' })
  const [, path = '', token = ''] =
    /https:\/\/app\.example(\/auth\/verify-email\?token=([\w.-]+))/.exec(question?.text ?? '') ?? []
  const post = await ana.post('hello')
  await ben.comment(post.id, 'one')
  await settled(system)
  t.same(await deliveries(system), [])
  const page = await call(system.url, 'GET', path)
  t.match(page, { status: 200, body: /<form method="post" action="verify-email"/ })
  t.match(await reachable(system, ana), [], 'looking at the page changes nothing')
  for (const wrong of [
    `${token}x`,
    token.replace(/^\d+/, ben.id),
    'nonsense',
    emailToken(system.config, ana.id, 'other@example.org'),
  ])
    t.match(await call(system.url, 'POST', '/auth/verify-email', { token: wrong }), {
      status: 400,
      body: { code: 'BAD_TOKEN' },
    })
  const form = { 'content-type': 'application/x-www-form-urlencoded' }
  t.match(await call(system.url, 'POST', '/auth/verify-email', `token=${token}`, form), {
    status: 200,
    body: /confirmed/,
  })
  t.match(await call(system.url, 'POST', '/auth/verify-email', { token }), { status: 204 })
  t.same(await reachable(system, ana), ['email'])
  t.same(server.mails, [])
})

test('notifications unread for a while arrive in one mail', async (t) => {
  const { server, system, ana, ben, cem, verify } = await mailSystem(t)
  await verify(ana)
  const posts = [await ana.post('one'), await ana.post('two'), await ana.post('three')]
  for (const post of posts) await ben.comment(post.id, 'well said')
  await cem.request('PATCH', `/users/${cem.id}`, { displayName: 'C & <b>' })
  await cem.comment(posts[0]?.id ?? '', 'me too')
  const queued = await eventually(async () => {
    const found = await deliveries(system)
    return found.length === 3 && found
  })
  const waits = (queued[0].due_at.getTime() - Date.now()) / 1000
  t.ok(waits > 500 && waits < 601, 'ten minutes')
  await settled(system)
  const { items } = await ana.get('/notifications')
  await ana.request('PATCH', `/notifications/${items.at(-1).id}/read`)
  await system.pool.query(`update notify.deliveries set due_at = now() where notification_id = $1`, [items[0].id])
  await eventually(() => server.mails.length === 1)
  const [mail] = server.mails
  t.match(mail, {
    to: 'ana@example.org',
    headers: {
      subject: '2 unread notifications',
      'list-unsubscribe': /^<https:\/\/app\.example\/unsubscribe\/[\w.-]+>$/,
      'list-unsubscribe-post': 'List-Unsubscribe=One-Click',
    },
    text: /C & <b> and ben commented on your post\r\nme too\r\nhttps:\/\/app\.example\/posts\/\d+#comment-\d+/,
  })
  t.match(mail?.text, /C &#38; &#60;b&#62; and ben commented on your post<\/a><br>me too/, 'as HTML, too')
  await eventually(async () => (await deliveries(system)).every((d) => d.due_at === null))
  const done = await deliveries(system)
  t.same(done.map((d) => `${d.state} ${d.reason}`).sort(), ['cancelled read', 'sent null', 'sent null'])
  t.equal(mail?.headers['message-id'], `<ravenpost.${done.find((d) => d.state === 'sent').send_id}@mail.example>`)
})

test('unsubscribing takes one click: GET shows a page, POST unsubscribes', async (t) => {
  const { server, system, ana, ben, verify } = await mailSystem(t)
  await verify(ana)
  await ana.request('PATCH', '/auth/me', { locale: 'de' })
  await ana.request('PUT', '/notifications/preferences', { types: { 'comment.created': { email: true } } })
  await ben.comment((await ana.post('hello')).id, 'one')
  await settled(system)
  await hurry(system)
  const mail = await eventually(() => server.mails[0])
  t.equal(mail.headers.subject, 'ben hat deinen Beitrag kommentiert', 'in the language of its reader')
  t.match(mail.text, 'Keine solchen Mails mehr')
  const path = new URL(mail.headers['list-unsubscribe']?.slice(1, -1) ?? '').pathname
  t.match(await call(system.url, 'GET', path), {
    status: 200,
    body: /<html lang="de">[\s\S]*<form method="post" [^>]*><button>Keine Mails mehr/,
  })
  t.match(await ana.get('/notifications/preferences'), {
    effective: { 'comment.created': { email: { enabled: true } } },
  })
  const form = { 'content-type': 'application/x-www-form-urlencoded' }
  t.match(await call(system.url, 'POST', path, 'List-Unsubscribe=One-Click', form), {
    status: 200,
    body: /Abbestellt/,
  })
  t.match(await ana.get('/notifications/preferences'), {
    preferences: { channels: { email: false } },
    effective: { 'comment.created': { email: { enabled: false } }, 'user.mentioned': { email: { enabled: false } } },
  })
  t.match(await call(system.url, 'POST', path.replace(ana.id, ben.id), {}), {
    status: 400,
    body: { code: 'BAD_TOKEN' },
  })
  t.match(await call(system.url, 'POST', `/auth/verify-email`, { token: path.split('/').at(-1) }), { status: 400 })
})

test('a digest arrives once, at its local hour, with all unread notifications; without unread ones none is sent', async (t) => {
  const { server, system, ana, ben, cem, verify } = await mailSystem(t)
  const { pool } = system
  await verify(ana)
  await ana.request('PATCH', '/auth/me', { timeZone: 'Asia/Kathmandu' })
  await ana.request('PUT', '/notifications/preferences', { digest: { every: 'day', at: '08:00' } })
  const posts = [await ana.post('one'), await ana.post('two')]
  for (const post of posts) await ben.comment(post.id, 'well said')
  const waiting = async () => {
    await settled(system)
    const { rows } = await pool.query(
      `select state, reason, attempts, to_char(due_at at time zone 'Asia/Kathmandu', 'HH24:MI:SS') as at, due_at > now() as later
       from notify.deliveries where notification_id <> 0 and due_at is not null`,
    )
    return rows
  }
  const tomorrow = { state: 'deferred', reason: 'digest', attempts: 0, at: '08:00:00', later: true }
  t.same(await waiting(), [tomorrow, tomorrow])
  await hurry(system)
  await eventually(async () => (await waiting()).every(({ later, state }) => later && state === 'deferred'))
  t.same(await waiting(), [tomorrow, tomorrow], 'what was taken early waits for its hour again')
  t.same(server.mails, [])
  const { id } = (await ana.get('/notifications')).items[0]
  const why = await ana.get(`/notifications/${id}/why`)
  t.match(
    why.decisions.find(({ channel }: { channel: string }) => channel === 'email'),
    { decision: 'defer', decidedBy: 'digest' },
  )
  const comeHour = async () => {
    await pool.query(`update notify.notifications set updated_at = updated_at - interval '1 day' where user_id = $1`, [
      ana.id,
    ])
    await hurry(system)
    await eventually(async () => (await waiting()).length === 0)
  }
  await comeHour()
  t.equal(server.mails.length, 1, 'one mail for all')
  t.match(server.mails[0], { to: 'ana@example.org', headers: { subject: '2 unread notifications' } })
  await cem.comment(posts[0]?.id ?? '', 'me too')
  await settled(system)
  await ana.request('PATCH', '/notifications/mark-all-read')
  await comeHour()
  t.equal(server.mails.length, 1, 'nothing unread, no mail')
  const path = new URL(server.mails[0]?.headers['list-unsubscribe']?.slice(1, -1) ?? '').pathname
  t.match(await call(system.url, 'POST', path, {}), { status: 200 })
  await cem.comment(posts[1]?.id ?? '', 'and here')
  t.same(await waiting(), [], 'unsubscribed')
})

test('a permanently refused mail bounces; after a temporary refusal the same mail is resent', async (t) => {
  const { server, system, ana, ben, verify } = await mailSystem(t)
  await verify(ana)
  const comment = async () => ben.comment((await ana.post('hello')).id, 'one')
  server.does = { refuse: 'RCPT', code: 451 }
  await comment()
  await settled(system)
  await hurry(system)
  const [tried] = await eventually(async () => {
    const found = await deliveries(system)
    return found[0]?.last_error && found
  })
  t.match(tried, { state: 'queued', attempts: 1, due: false })
  server.does = 'accept'
  await comment()
  await settled(system)
  await hurry(system)
  await eventually(() => server.mails.length === 2)
  t.same(
    server.mails.map((mail) => mail.headers.subject),
    Array(2).fill('ben commented on your post'),
    'what was tried stays in its mail, what came later goes in its own',
  )
  t.ok(server.mails.some((mail) => mail.headers['message-id']?.includes(tried.send_id)))
  await eventually(async () => (await deliveries(system)).every((d) => d.state === 'sent'))
  server.does = { refuse: 'RCPT', code: 550 }
  await comment()
  await settled(system)
  await hurry(system)
  await eventually(async () => (await deliveries(system))[2]?.state === 'bounced')
  t.notMatch((await deliveries(system))[2]?.last_error, /@/, 'readers of the console see no address')
  server.does = { refuse: 'DATA', code: 554 }
  await comment()
  await settled(system)
  await hurry(system)
  await eventually(async () => (await deliveries(system))[3]?.state === 'failed')
})

test('a hanging mail server opens the circuit and delays nobody', async (t) => {
  const { server, system, ana, ben, cem, verify } = await mailSystem(t)
  await verify(ana)
  server.does = 'hang'
  await system.pool.query(
    `insert into social.users (username, email, password_hash, display_name) select 'many_' || i, i || '@example.net', '!', 'x' from generate_series(1, 30) i`,
  )
  await system.pool.query(
    `insert into notify.deliveries (user_id, notification_id, channel, target, grown_modseq, due_at)
     select id, 0, 'email', 'primary', 0, now() from social.users where username like 'many_%'`,
  )
  await ben.like((await cem.post('hello')).id)
  await settled(system)
  t.match(await cem.get('/notifications'), { items: [{ type: 'post.liked' }] }, 'the app goes on meanwhile')
  const tried = await eventually(async () => {
    const { rows } = await system.pool.query('select * from notify.deliveries where last_error is not null')
    return rows.length === 30 && rows
  }, 15)
  t.ok(server.asked <= 3 + 10, `${server.asked} asked: the others were spared`)
  t.ok(tried.filter((d) => d.attempts === 0).length >= 20, 'which counts as no attempt')
})

test('sign-in resends the verification mail when the last one is no longer usable', async (t) => {
  const { server, system } = await questionSystem(t)
  const ana = await system.as('ana')
  const senders = createSenders(system.config, system.pool, {})
  const signInAndSend = async () => {
    await system.pool.query('delete from social.rate_limits')
    t.match(await call(system.url, 'POST', '/auth/signin', { login: 'ana', password: PASSWORD }), { status: 200 })
    await sendDeliveries({ ...system.app, senders })
    return server.mails.length
  }
  const change = (what: string) =>
    system.pool.query(`update notify.deliveries set ${what} where user_id = $1 and notification_id = 0`, [ana.id])
  await sendDeliveries({ ...system.app, senders: { email: null, webPush: null } })
  t.match((await system.pool.query('select * from notify.deliveries')).rows, [{ reason: 'notConfigured' }])
  t.equal(await signInAndSend(), 1, 'mail was not configured')
  t.equal(await signInAndSend(), 1)
  await change(`updated_at = now() - interval '6 days 23 hours'`)
  t.equal(await signInAndSend(), 1, 'the link still holds')
  await change(`updated_at = now() - interval '7 days 1 hour'`)
  t.equal(await signInAndSend(), 2, 'the link ran out')
  t.match(server.mails[1], { to: 'ana@example.org', headers: { subject: 'Is this your address?' } })
  t.equal(new Set(server.mails.map(({ headers }) => headers['message-id'])).size, 2, 'no mailbox drops it')
  await system.pool.query('delete from notify.deliveries')
  t.equal(await signInAndSend(), 3, 'nor was it ever asked for')
  await change(`updated_at = now() - interval '1 year'`)
  await system.pool.query('update social.users set email_verified_at = now()')
  t.equal(await signInAndSend(), 3, 'who showed it is asked no more')
  senders.email?.close()
})

test('a slow mail server gets each mail once; mails too late for their lease wait for the next run', async (t) => {
  const { server, system } = await questionSystem(t)
  server.does = { afterMs: 500 }
  await ask(
    system,
    Array.from({ length: 80 }, (_, i) => `${i}@example.net`),
  )
  const open = async () => (await system.pool.query('select from notify.deliveries where due_at is not null')).rowCount
  const sender = async () => {
    const senders = createSenders(system.config, system.pool, { timeoutMs: 1000 })
    while (await open()) await sendDeliveries({ ...system.app, senders, leaseSeconds: 13 })
    senders.email?.close()
  }
  await Promise.all([sender(), sender()])
  t.equal(server.mails.length, 80)
  t.equal(new Set(server.mails.map(({ to }) => to)).size, 80)
  const { rows } = await system.pool.query('select distinct state, attempts from notify.deliveries')
  t.same(rows, [{ state: 'sent', attempts: 1 }], 'what was left was not tried')
})

test('an invalid address is refused at sign-up, and a stored address is used unchanged', async (t) => {
  const { server, system } = await questionSystem(t)
  const odd = ['x,y@example.net', 'a<y@example.net>', 'g:y@example.net;', '(c)y@example.net', 'y@[example.net]']
  for (const email of [...odd, '"q"y@example.net', 'a\\y@example.net', 'a\u0000y@example.net', 'y@example.net.'])
    t.match(await call(system.url, 'POST', '/auth/signup', { username: 'odd', email, password: PASSWORD }), {
      status: 400,
      body: { code: 'VALIDATION_FAILED' },
    })
  await ask(system, [...odd, 'right@example.net'])
  const senders = createSenders(system.config, system.pool, { timeoutMs: 5000 })
  await sendDeliveries({ ...system.app, senders })
  senders.email?.close()
  const addressed = server.mails.map(({ to }) => to)
  t.ok(addressed.includes('right@example.net'))
  t.notOk(addressed.includes('y@example.net'), 'nobody else is asked')
})

test('password and mail are sent over verified TLS only, unless SMTP_URL allows otherwise', async (t) => {
  const { system } = await questionSystem(t)
  await ask(system, ['right@example.net'])
  const send = async (server: { url: string; seen: string[] }, options = '') => {
    const smtp = { url: `${server.url}?${options}`, from: 'news@mail.example' }
    const senders = createSenders({ ...system.config, smtp }, system.pool, { timeoutMs: 5000 })
    server.seen.length = 0
    await system.pool.query(`update notify.deliveries set due_at = now(), state = 'queued', attempts = 0`)
    await sendDeliveries({ ...system.app, senders })
    senders.email?.close()
    const { rows } = await system.pool.query('select state, last_error from notify.deliveries')
    return [rows[0].state, [...server.seen], rows[0].last_error] as const
  }
  const [honest, stripped] = [await startTlsServer(t), await startTlsServer(t, ['STARTTLS'])]
  const hint = /requireTLS=false in SMTP_URL/
  t.match(await send(stripped), ['queued', [], hint], 'a server, or somebody before it, that offers no TLS')
  t.match(await send(honest), ['queued', [], /certificate/], 'a server with a certificate that nobody vouches for')
  t.match(await send(honest, 'tls.rejectUnauthorized=false'), ['sent', ['AUTH TLS', 'MAIL TLS']])
  t.match(await send(stripped, 'requireTLS=false'), ['sent', ['AUTH plain', 'MAIL plain']])
})

/** A server that requires a password and has the certificate of smtp-server, which is not trusted. */
async function startTlsServer(t: Test, disabledCommands: string[] = []) {
  const seen: string[] = []
  const note = (command: string, { secure }: { secure: boolean }) => seen.push(`${command} ${secure ? 'TLS' : 'plain'}`)
  const smtp = new SMTPServer({
    disabledCommands,
    allowInsecureAuth: true,
    onAuth({ username }, session, done) {
      note('AUTH', session)
      done(null, { user: username })
    },
    onMailFrom(_address, session, done) {
      note('MAIL', session)
      done()
    },
    onData(stream, _session, done) {
      stream.on('end', () => done()).resume()
    },
  })
  smtp.on('error', () => {})
  await new Promise<void>((resolve) => smtp.listen(0, '127.0.0.1', resolve))
  t.teardown(() => new Promise<void>((resolve) => smtp.close(() => resolve())))
  return { seen, url: `smtp://me:password@127.0.0.1:${(smtp.server.address() as AddressInfo).port}` }
}

/** Without a worker: tests send by themselves. */
async function questionSystem(t: Test) {
  const server = await startMailServer(t)
  const env = { SMTP_URL: server.url, MAIL_FROM: 'news@mail.example', PUBLIC_URL: 'https://app.example/' }
  return { server, system: await setup(t, { env }) }
}

/** Users with these addresses, who are due to be asked about them. */
async function ask({ pool }: TestSystem, emails: string[]): Promise<void> {
  await pool.query(
    `with u as (
       insert into social.users (username, email, password_hash, display_name)
       select 'many_' || i, email, '!', 'x' from unnest($1::text[]) with ordinality w (email, i) returning id
     )
     insert into notify.deliveries (user_id, notification_id, channel, target, grown_modseq, due_at)
     select id, 0, 'email', 'primary', 0, now() from u`,
    [emails],
  )
}

async function reachable({ pool }: TestSystem, { id }: TestClient): Promise<string[]> {
  const { rows } = await pool.query('select reachable_by from notify.inbox where user_id = $1', [id])
  return rows[0]?.reachable_by
}
