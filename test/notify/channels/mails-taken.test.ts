import pg from 'pg'
import { type Test, test } from 'tap'
import { sendDeliveries } from '../../../src/notify/channels/send.ts'
import { createSenders } from '../../../src/notify/channels/senders.ts'
import { setup } from '../../setup.ts'
import { dispatch, makeUsers } from '../dispatch/events.ts'
import { startMailServer } from './mail-server.ts'

/** Two users with due notifications for two mails each. Only the test sends. */
async function dueMails(t: Test) {
  const server = await startMailServer(t)
  const env = { SMTP_URL: server.url, MAIL_FROM: 'news@mail.example', PUBLIC_URL: 'https://app.example' }
  const { app, pool, databaseUrl } = await setup(t, { env })
  const [ana = '', ben = ''] = await makeUsers(app, ['ana', 'ben'])
  await pool.query('update social.users set email_verified_at = now()')
  await pool.query(`update notify.inbox set reachable_by = '{email}'`)
  for (const text of ['one', 'two'])
    await pool.query(`select notify.emit('system', array[$1::bigint, $2::bigint], $3, $3)`, [ana, ben, text])
  await dispatch(app)
  const makeDue = () => pool.query('update notify.deliveries set due_at = now() where due_at is not null')
  await makeDue()
  const senders = createSenders(app.config, pool, {})
  t.teardown(() => senders.email?.close())
  const holder = new pg.Client({ connectionString: databaseUrl })
  await holder.connect()
  t.teardown(() => holder.end())
  const rows = async () => {
    const found = await pool.query(
      'select user_id as "userId", notification_id as id, state, send_id as "sendId" from notify.deliveries order by 1, 2',
    )
    return found.rows
  }
  return { server, pool, ana, ben, holder, rows, makeDue, send: () => sendDeliveries({ ...app, senders }) }
}

test("another session's advisory lock stops no mail", async (t) => {
  const { server, holder, send } = await dueMails(t)
  await holder.query(`select pg_advisory_lock(hashtext('ravenpost mails'))`)
  await send()
  t.equal(server.mails.length, 2)
})

test('while another process takes mails, nobody waits for it', async (t) => {
  const { server, holder, send } = await dueMails(t)
  await holder.query('begin')
  await holder.query(`select from notify.maintenance where what = 'mails' for update`)
  await send()
  t.equal(server.mails.length, 0)
  await holder.query('commit')
  await send()
  t.equal(server.mails.length, 2)
})

test('a retried mail waits only while its notification grows, and no two mails have the same id', async (t) => {
  const { server, pool, ana, ben, holder, rows, makeDue, send } = await dueMails(t)
  server.does = { refuse: 'RCPT', code: 451 }
  await send()
  t.ok((await rows()).every(({ state, sendId }) => state === 'queued' && sendId))
  server.does = 'accept'
  await makeDue()
  await holder.query('begin')
  await holder.query(
    `update notify.deliveries set grown_modseq = 99, send_id = null, attempts = 0, due_at = now() + interval '10 minutes' where user_id = $1 and notification_id = 2`,
    [ana],
  )
  await send()
  t.equal(server.mails.length, 1, 'of the other user')
  await holder.query('commit')
  await makeDue()
  await send()
  t.equal(server.mails.length, 3, 'what grew goes out in a mail of its own')
  const ids = server.mails.map(({ headers }) => headers['message-id'])
  t.equal(new Set(ids).size, 3)
  const sent = await rows()
  t.ok(sent.every(({ state, sendId }) => state === 'sent' && /^[^.]+\.\d+\.\d+$/.test(sendId)))
  t.equal(new Set(sent.filter(({ userId }) => userId === ben).map(({ sendId }) => sendId)).size, 1)
  const { rows: log } = await pool.query(`select from notify.deliveries where attempts = 0`)
  t.same(log, [])
})
