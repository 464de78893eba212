import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { type Test, test } from 'tap'
import { inTransaction } from '../../../src/db/transaction.ts'
import { sendDeliveries } from '../../../src/notify/channels/send.ts'
import { createSenders } from '../../../src/notify/channels/senders.ts'
import { subscribe } from '../../../src/notify/channels/web-push/subscriptions.ts'
import { eventually, setup } from '../../setup.ts'
import { dispatch, makeUsers } from '../dispatch/events.ts'
import { startMailServer } from './mail-server.ts'
import { startPushService, vapid } from './push-service.ts'

const BROWSERS = 3

/** A mail and some pushes of one notification, all due, and providers that take part in nothing yet. */
async function dueDeliveries(t: Test) {
  const [mails, pushes] = [await startMailServer(t), await startPushService(t)]
  const env = { ...vapid, SMTP_URL: mails.url, MAIL_FROM: 'news@mail.example', PUBLIC_URL: 'https://app.example' }
  const system = await setup(t, { env })
  const { app, pool } = system
  const [ana = ''] = await makeUsers(app, ['ana'])
  await pool.query('update social.users set email_verified_at = now()')
  const { rows: sessions } = await pool.query<{ id: string }>(
    `insert into social.sessions (user_id, expires_at) values ($1, now() + interval '1 day') returning id`,
    [ana],
  )
  const who = { userId: ana, sessionId: sessions[0]?.id ?? '' }
  for (let i = 0; i < BROWSERS; i += 1)
    await inTransaction(pool, (client) => subscribe(client, who, pushes.browser(), system.config.pushHosts))
  await pool.query(`select notify.emit('system', array[$1::bigint], 'news', 'Hello')`, [ana])
  await dispatch(app)
  const endLeases = () => pool.query('update notify.deliveries set due_at = now() where due_at is not null')
  await endLeases()
  const rows = async () => {
    const found = await pool.query(
      `select channel, target, send_id, state, attempts, extract(epoch from due_at - now())::float8 as seconds from notify.deliveries order by channel, target`,
    )
    return found.rows
  }
  const send = async () => {
    const senders = createSenders(app.config, pool, { pushAgent: pushes.agent })
    await sendDeliveries({ ...app, senders })
    senders.email?.close()
  }
  const inAnotherProcess = (): ChildProcess => {
    const script = fileURLToPath(new URL('sender-process.ts', import.meta.url))
    const options = [system.databaseUrl, JSON.stringify(env), String(pushes.agent.options.ca)]
    const child = spawn(process.execPath, [script, ...options], { stdio: ['ignore', 'ignore', 'inherit'] })
    t.teardown(() => child.kill('SIGKILL'))
    return child
  }
  return { mails, pushes, rows, send, endLeases, inAnotherProcess }
}

for (const answer of ['never', 'taken'] as const)
  test(`a sender killed while providers ${answer === 'taken' ? 'took its messages' : 'hang'} is replaced when its lease ends`, async (t) => {
    const { mails, pushes, rows, send, endLeases, inAnotherProcess } = await dueDeliveries(t)
    mails.does = 'hang'
    pushes.answer = answer
    const killed = inAnotherProcess()
    await eventually(() => mails.asked === 1 && pushes.asked === BROWSERS, 60)
    killed.kill('SIGKILL')
    const taken = await rows()
    t.equal(taken.length, 1 + BROWSERS)
    t.ok(
      taken.every((row) => row.state === 'queued' && row.attempts === 1 && row.send_id),
      'taken, and not finished',
    )
    t.ok(
      taken.every((row) => row.seconds > 0 && row.seconds <= 180),
      'for three minutes',
    )

    mails.does = 'accept'
    pushes.answer = 201
    await send()
    t.equal(mails.asked + pushes.asked, 1 + BROWSERS, 'nobody else sends meanwhile')

    await endLeases()
    await Promise.all([send(), send(), send()])
    const sent = await rows()
    t.ok(sent.every((row) => row.state === 'sent' && row.attempts === 2))
    t.same(
      sent.map((row) => row.send_id),
      taken.map((row) => row.send_id),
      'under the same ids',
    )
    t.equal(pushes.asked, 2 * BROWSERS, 'once by each sender')
    const pushIds = new Set(pushes.pushes.map(({ headers }) => headers['x-delivery-id']))
    const idsOf = (channel: string) => sent.filter((row) => row.channel === channel).map((row) => row.send_id)
    t.same([...pushIds].sort(), idsOf('webPush').sort(), 'what came twice has an id that the provider knows')
    t.same(
      mails.mails.map(({ headers }) => headers['message-id']),
      idsOf('email').map((id) => `<ravenpost.${id}@mail.example>`),
    )
  })
