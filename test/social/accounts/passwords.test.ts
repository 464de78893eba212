import { Writable } from 'node:stream'
import type pg from 'pg'
import { pino } from 'pino'

import { type Test, test } from 'tap'
import { resetToken } from '../../../src/notify/channels/email/reset-token.ts'
import { emailToken } from '../../../src/notify/channels/email/verify.ts'
import { createSenders } from '../../../src/notify/channels/senders.ts'
import { confirmPassword } from '../../../src/social/passwords/confirm-password.ts'
import { hashPassword, passwordFits } from '../../../src/social/passwords/passwords.ts'
import { sessionIsLive } from '../../../src/social/sessions/tokens.ts'
import { call, PASSWORD, signIn } from '../../client.ts'
import { cloneDatabase, eventually, setup, startSystem } from '../../setup.ts'

const NEW = 'a horse that is new'

test('common passwords, the username and the address are refused as password', async (t) => {
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

test('a user changes the password with the current one, and all other sessions end', async (t) => {
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

test('of two concurrent password changes, one succeeds', async (t) => {
  const { as } = await setup(t)
  const ana = await as('ana')
  const answers = await Promise.all(
    [1, 2, 3].map((n) => ana.request('PUT', '/auth/password', { currentPassword: PASSWORD, password: `${NEW} ${n}` })),
  )
  t.same(answers.map(({ status }) => status).sort(), [204, 403, 403])
})

test('a sign-in with the old password does not outlive the change of the password', async (t) => {
  const { url, db, pool, as } = await setup(t)
  const ana = await as('ana')
  const client = await pool.connect()
  await client.query('begin')
  await client.query('update social.users set password_hash = $2 where id = $1', [ana.id, await hashPassword(NEW)])
  const late = call(url, 'POST', '/auth/signin', { login: 'ana', password: PASSWORD })
  await eventually(async () => (await waiting(pool)) === 1)
  await client.query('commit')
  t.match(await late, { status: 401, body: { code: 'BAD_CREDENTIALS' } })

  await client.query('begin')
  await client.query('select from social.users where id = $1 for share', [ana.id])
  const change = ana.request('PUT', '/auth/password', { currentPassword: NEW, password: `${NEW} 2` })
  await eventually(async () => (await waiting(pool)) === 1)
  const { rows } = await client.query(
    `insert into social.sessions (user_id, expires_at) values ($1, now() + interval '1 hour') returning id`,
    [ana.id],
  )
  await client.query('commit')
  client.release()
  t.equal((await change).status, 204)
  t.equal(await sessionIsLive(db, rows[0].id), false, 'a sign-in that committed just before is ended')
})

test('a password that was replaced while it was hashed confirms nothing', async (t) => {
  const { app, pool, as } = await setup(t)
  const ana = await as('ana')
  const hash = await hashPassword(NEW)
  const replace = async () => {
    await pool.query('update social.users set password_hash = $2 where id = $1', [ana.id, hash])
  }
  const confirm = () =>
    confirmPassword(app, ana.id, {
      currentPassword: PASSWORD,
      ip: '127.0.0.1',
      limitFailures: async () => replace,
    })
  await t.rejects(confirm(), { code: 'WRONG_PASSWORD' })
})

test('a new password drops an address that someone with the old one entered', async (t) => {
  const { url, config, pool, as } = await setup(t)
  const ana = await as('ana')
  const enter = (email: string) => ana.request('PATCH', '/auth/me', { email, currentPassword: PASSWORD })
  t.match(await enter('thief@example.org'), { body: { pendingEmail: 'thief@example.org' } })
  t.equal((await ana.request('PUT', '/auth/password', { currentPassword: PASSWORD, password: NEW })).status, 204)
  t.match(await ana.get('/auth/me'), { email: 'ana@example.org', pendingEmail: null })
  const token = emailToken(config, ana.id, 'thief@example.org')
  t.match(await call(url, 'POST', '/auth/verify-email', { token }), { body: { code: 'BAD_TOKEN' } })

  const ben = await as('ben')
  const client = await pool.connect()
  await client.query('begin')
  await client.query('update social.users set password_hash = $2 where id = $1', [ben.id, await hashPassword(NEW)])
  const late = ben.request('PATCH', '/auth/me', { email: 'thief@example.org', currentPassword: PASSWORD })
  await eventually(async () => (await waiting(pool)) === 1)
  await client.query('commit')
  client.release()
  t.match(await late, { status: 403, body: { code: 'WRONG_PASSWORD' } })
  t.match(await ben.get('/auth/me'), { pendingEmail: null }, 'also one that was under way')
})

const waiting = async (pool: pg.Pool) =>
  (await pool.query(`select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`))
    .rowCount

test('wrong current passwords are limited like failed sign-ins', async (t) => {
  const { as } = await setup(t, { env: { RATE_LIMIT_SCALE: '1' } })
  const ana = await as('ana')
  const guess = () => ana.request('PUT', '/auth/password', { currentPassword: 'a wrong one', password: NEW })
  const statuses: number[] = []
  for (let n = 0; n < 11; n++) statuses.push((await guess()).status)
  t.same(statuses, [...Array(10).fill(403), 429])
})

test('an account without a password accepts no password', async (t) => {
  t.equal(await passwordFits(undefined, 'nobody has this password'), false)
})

test("password hashing beyond one network's share is refused, and another network still has room", async (t) => {
  const hashFor = (of: string) => hashPassword(PASSWORD, { of, most: 1 })
  // Three run and one waits.
  const flood = Array.from({ length: 4 }, () => hashFor('192.0.2.0'))
  await t.rejects(hashFor('192.0.2.0'), { code: 'BUSY', retryAfter: 1 })
  await t.resolves(hashFor('198.51.100.0'))
  await Promise.all(flood)
  await t.resolves(hashFor('192.0.2.0'), 'there is room again')
})

/** As an embedded server without SMTP_URL: mails are printed in its log. */
async function printingSystem(t: Test, env: Record<string, string> = {}) {
  const databaseUrl = await cloneDatabase(t)
  const lines: { to?: string; subject?: string; text?: string }[] = []
  const stream = new Writable({
    write(chunk, _encoding, done) {
      lines.push(JSON.parse(String(chunk)))
      done()
    },
  })
  const config = { embedded: true, port: 3456, dataDir: t.testdir() }
  const system = await startSystem(t, databaseUrl, { env, config, worker: true, log: pino({ level: 'info' }, stream) })
  const mailsTo = (address: string) => lines.filter(({ to }) => to === address)
  const forgot = (login: string) => call(system.url, 'POST', '/auth/password/forgot', { login })
  const reset = (token: string, password: string) =>
    call(system.url, 'POST', '/auth/password/reset', { token, password })
  const tokenFor = async (address: string, nth = 1) => {
    const mails = () => mailsTo(address).filter(({ subject }) => subject === 'Reset your password')
    const mail = await eventually(() => mails()[nth - 1])
    return /http:\/\/127\.0\.0\.1:3456\/auth\/password\/reset\?token=(\S+)/.exec(mail.text ?? '')?.[1] ?? ''
  }
  return { ...system, lines, mailsTo, forgot, reset, tokenFor }
}

test('a mailed token resets a forgotten password once and ends every session', async (t) => {
  const { url, db, as, forgot, reset, tokenFor, mailsTo, pool } = await printingSystem(t)
  const [ana, ben] = [await as('ana'), await as('ben')]
  await pool.query(`update social.users set email_verified_at = now() where username = 'ana'`)
  for (const login of ['ana', 'ANA@example.org', 'nobody', 'nobody@example.org'])
    t.match(await forgot(login), { status: 202, body: {} }, login)
  const token = await tokenFor('ana@example.org')
  t.match(await reset(token, 'password'), { status: 400, body: { code: 'PASSWORD_TOO_COMMON' } })
  t.match(await reset(`${token}x`, NEW), { status: 400, body: { code: 'BAD_TOKEN' } })
  t.match(await reset(token.replace(/^\d+/, ben.id), NEW), { status: 400, body: { code: 'BAD_TOKEN' } })

  t.equal((await reset(token, NEW)).status, 204)
  t.match(await reset(token, 'another new horse'), { status: 400, body: { code: 'BAD_TOKEN' } }, 'only once')
  t.same([await sessionIsLive(db, ana.sessionId), await sessionIsLive(db, ben.sessionId)], [false, true])
  t.equal((await ana.request('GET', '/auth/me')).status, 401)
  const signInWith = async (password: string) =>
    (await call(url, 'POST', '/auth/signin', { login: 'ana', password })).status
  t.same([await signInWith(PASSWORD), await signInWith(NEW)], [401, 200])
  await eventually(() => mailsTo('ana@example.org').some(({ subject }) => subject === 'Your password was changed'))
})

test('a reset token expires after half an hour, with a new password and with a new address', async (t) => {
  const { config, pool, as, reset } = await printingSystem(t)
  const ana = await as('ana')
  const account = async () => {
    const { rows } = await pool.query(
      'select email, password_hash as "passwordHash" from social.users where username = $1',
      ['ana'],
    )
    return { userId: ana.id, ...rows[0] }
  }
  const before = resetToken(config, await account())
  t.ok(Math.abs(Number(before.split('.')[1]) - Date.now() - 30 * 60_000) < 10_000)
  t.match(await reset(resetToken(config, await account(), Date.now() - 1), NEW), { body: { code: 'BAD_TOKEN' } })
  await ana.request('PUT', '/auth/password', { currentPassword: PASSWORD, password: 'another new horse' })
  t.match(await reset(before, NEW), { body: { code: 'BAD_TOKEN' } }, 'of the former password')
  const then = resetToken(config, await account())
  await pool.query(`update social.users set email = 'else@example.org' where username = 'ana'`)
  t.match(await reset(then, NEW), { body: { code: 'BAD_TOKEN' } }, 'of the former address')
  const tokens = [1, 2, 3].map(async () => resetToken(config, await account()))
  const answers = await Promise.all((await Promise.all(tokens)).map((token) => reset(token, NEW)))
  t.same(answers.map(({ status }) => status).sort(), [204, 400, 400], 'at one time, one is used')
})

test('the mail and the page behind its link are in the language of the account', async (t) => {
  const { url, config, pool, as, forgot, mailsTo } = await printingSystem(t)
  const [ana, ben] = [await as('ana'), await as('ben')]
  await ana.request('PATCH', '/auth/me', { locale: 'de' })
  await forgot('ana')
  await eventually(() => mailsTo('ana@example.org').some(({ subject }) => subject === 'Setze dein Passwort zurück'))
  const { rows } = await pool.query(`select email, password_hash as "passwordHash" from social.users where id = $1`, [
    ana.id,
  ])
  const token = resetToken(config, { userId: ana.id, ...rows[0] })
  const open = (token: string) => call(url, 'GET', `/auth/password/reset?token=${token}`)
  t.match((await open(token)).body, /lang="de"[\s\S]*Neues Passwort, mindestens 8 Zeichen/)
  t.match((await open(token.replace(/^\d+/, ben.id))).body, /lang="en"/, 'a forged one shows no language')
  const form = { 'content-type': 'application/x-www-form-urlencoded' }
  const submit = (password: string) =>
    call(url, 'POST', '/auth/password/reset', `token=${token}&password=${password}`, form)
  t.match((await submit('password')).body, /zu gebräuchlich[\s\S]*<form/)
  t.match((await submit('another+new+horse')).body, /Dein Passwort wurde geändert/)
  t.match(
    (await submit('another+new+horse')).body,
    /lang="en"[\s\S]*invalid or has expired/,
    'a used token no longer proves whose it is',
  )
})

test('the answer to a forgotten password is sent before the account is looked up', async (t) => {
  const { pool, as, forgot, tokenFor } = await printingSystem(t)
  await as('ana')
  const client = await pool.connect()
  await client.query('begin')
  await client.query('lock table notify.deliveries in access exclusive mode')
  t.same([(await forgot('ana')).status, (await forgot('nobody')).status], [202, 202])
  await client.query('commit')
  client.release()
  t.ok(await tokenFor('ana@example.org'), 'and nothing is lost')
})

test('reset mails of one account are limited, and the answer does not reveal it', async (t) => {
  const { as, pool, forgot, mailsTo } = await printingSystem(t, { RATE_LIMIT_SCALE: '1' })
  await as('ana')
  const resets = () => mailsTo('ana@example.org').filter(({ subject }) => subject === 'Reset your password').length
  const points = async () => {
    const { rows } = await pool.query(`select points from social.rate_limits where key like 'forgot-account%'`)
    return rows[0]?.points
  }
  for (let n = 1; n <= 4; n++) {
    t.equal((await forgot(n % 2 ? 'ana' : 'ana@example.org')).status, 202)
    await eventually(async () => (await points()) === n && (n > 3 || resets() === n))
    await eventually(
      async () => (await pool.query('select from notify.deliveries where due_at > now()')).rowCount === 0,
    )
  }
  t.equal(resets(), 3)
  await eventually(async () => (await forgot('nobody')).status === 429)
  t.equal((await forgot('ana')).status, 429, 'requests from one address are limited openly')
})

test('reset mails to an address are limited for all its accounts together until one verifies it', async (t) => {
  const { url, pool, forgot } = await printingSystem(t, { RATE_LIMIT_SCALE: '1' })
  const email = 'owner@example.org'
  const points = async (n: number) => {
    const { rows } = await pool.query(`select points from social.rate_limits where key like 'forgot-address%'`)
    return rows[0]?.points === n
  }
  const queued = `select count(*)::int as n from notify.deliveries where target = 'resetPassword'`
  for (let n = 1; n <= 6; n++) {
    const account = { username: `name_${n}`, email: n % 2 ? email : 'OWNER@example.org', password: PASSWORD }
    t.equal((await call(url, 'POST', '/auth/signup', account)).status, 201)
    t.equal((await forgot(account.username)).status, 202)
    await eventually(() => points(n))
  }
  t.same((await pool.query(queued)).rows, [{ n: 5 }])
  await pool.query(`update social.users set email_verified_at = now() where username = 'name_6'`)
  await forgot('name_6')
  await eventually(async () => (await pool.query(queued)).rows[0].n === 6)
})

test('the page linked in the mail changes nothing until its form is submitted', async (t) => {
  const { url, as, forgot, tokenFor, db } = await printingSystem(t)
  const ana = await as('ana')
  await forgot('ana')
  const token = await tokenFor('ana@example.org')
  const page = await call(url, 'GET', `/auth/password/reset?token=${token}`)
  t.match(page.body, /<form method="post" action="reset"/)
  t.equal(await sessionIsLive(db, ana.sessionId), true)
  const send = (password: string) =>
    call(url, 'POST', '/auth/password/reset', new URLSearchParams({ token, password }).toString(), {
      'content-type': 'application/x-www-form-urlencoded',
    })
  t.match(await send('password1'), { status: 200, body: /too common.*\n*.*<form/ }, 'the form again')
  t.match(await send(NEW), { status: 200, body: /was changed/ })
  t.match(await send(NEW), { status: 200, body: /invalid or has expired/ })
  t.equal(await sessionIsLive(db, ana.sessionId), false)
})

test('without the embedded database and without SMTP_URL, no mail is printed or queued', async (t) => {
  const { app, as, url } = await setup(t)
  await as('ana')
  await call(url, 'POST', '/auth/password/forgot', { login: 'ana' })
  t.equal(createSenders(app.config, app.pool, { log: app.log }).email, null)
  t.equal((await app.pool.query('select from notify.deliveries')).rowCount, 0)
})
