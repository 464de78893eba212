import { test } from 'tap'
import { type Parcel, sendDeliveries } from '../../../src/notify/channels/send.ts'
import { maintainDeliveryLog } from '../../../src/notify/delivery-log/partitions.ts'
import { readWhy } from '../../../src/notify/inbox/why.ts'
import type { Preferences } from '../../../src/notify/preferences/document.ts'
import { storePreferences } from '../../../src/notify/preferences/store.ts'
import { follow, inboxApp, like, makePost, makeUsers } from '../dispatch/events.ts'

const snoozed = { snoozeUntil: new Date(Date.now() + 3_600_000).toISOString() }

test('notifications that a user filters from a reachable channel are logged with the rule', async (t) => {
  const app = await inboxApp(t)
  const { pool } = app
  await maintainDeliveryLog(pool, app.log, 7)
  await pool.query(
    `update notify.types set dnd = 'silent', channels = '{inApp,webPush,email}' where type = 'user.followed'`,
  )
  const cases: [rule: string, preferences: Preferences][] = [
    ['typePreference', { types: { 'user.followed': { email: false, webPush: false } } }],
    ['channelPreference', { channels: { email: false, webPush: false } }],
    ['snooze', snoozed],
  ]
  for (const [rule, preferences] of cases) {
    const [ana = '', ben = ''] = await makeUsers(app, ['ana', 'ben'])
    await reach(ana)
    await storePreferences(pool, ana, preferences)
    await follow(app, ben, ana)
    const skipped = ['email', 'webPush'].map((channel) => ({ channel, state: 'skipped', reason: rule }))
    t.match((await readWhy(pool, ana, '1')).deliveries, skipped, rule)
    await storePreferences(pool, ana, {})
    t.match((await readWhy(pool, ana, '1')).deliveries, skipped, 'later preferences do not change it')
    const { rows } = await pool.query(
      `select channel, reason from notify.delivery_log where recipient_id = $1 and notification_id = 1 and event = 'filtered' order by 1`,
      [ana],
    )
    t.same(
      rows,
      ['email', 'webPush'].map((channel) => ({ channel, reason: rule })),
    )
  }

  async function reach(userId: string): Promise<void> {
    await pool.query(`update notify.inbox set reachable_by = '{email,webPush}' where user_id = $1`, [userId])
    await pool.query(
      `insert into notify.push_subscriptions (user_id, id, endpoint, p256dh, auth, session_id) values ($1, 'browser', 'https://push.example/', '', '', 1)`,
      [userId],
    )
  }
})

test('switching a type off keeps queued and sent messages of its group; channels that are off by default queue nothing', async (t) => {
  const app = await inboxApp(t)
  const { pool } = app
  const [ana = '', eve = '', ...likers] = await makeUsers(app, ['ana', 'eve', 'ben', 'cem', 'dia'])
  await pool.query(`update notify.inbox set reachable_by = '{email}'`)
  const prefer = (email: boolean) => storePreferences(pool, ana, { types: { 'post.liked': { email } } })
  const post = await makePost(app, ana)
  const likeAgain = () => like(app, { postId: post, actorId: String(likers.pop()), recipientId: ana })
  const rows = async () => (await pool.query('select user_id, state, reason from notify.deliveries')).rows
  await like(app, { postId: await makePost(app, eve), actorId: ana, recipientId: eve })
  t.same(await rows(), [])
  await prefer(false)
  await likeAgain()
  t.same(await rows(), [{ user_id: ana, state: 'skipped', reason: 'typePreference' }])
  await prefer(true)
  await likeAgain()
  t.same(await rows(), [{ user_id: ana, state: 'queued', reason: null }], 'wanted again')
  await pool.query(`update notify.deliveries set state = 'sent', due_at = null`)
  await prefer(false)
  await likeAgain()
  t.same(await rows(), [{ user_id: ana, state: 'sent', reason: null }])
})

test('pushes beyond a cap wait until its period ends; then only the latest is sent', async (t) => {
  const app = await inboxApp(t)
  const { pool } = app
  const [ana = '', ...others] = await makeUsers(app, ['ana', 'ben', 'cem', 'dia', 'eva', 'fay'])
  await pool.query(`update notify.inbox set reachable_by = '{webPush}' where user_id = $1`, [ana])
  await pool.query(
    `insert into notify.push_subscriptions (user_id, id, endpoint, p256dh, auth, session_id) values ($1, 'browser', 'https://push.example/', '', '', 1)`,
    [ana],
  )
  await storePreferences(pool, ana, { cap: { atMost: 2, seconds: 3600 } })
  for (const other of others.slice(0, 4)) await follow(app, other, ana)
  const sent: string[] = []
  const send = async ({ notifications }: Parcel) => {
    sent.push(...notifications.map(({ id }) => id))
    return { state: 'sent' as const }
  }
  const rows = async () => {
    await sendDeliveries({ ...app, senders: { email: null, webPush: { send, close() {} } } })
    const { rows } = await pool.query(
      `select concat_ws(' ', notification_id, state, reason) as became from notify.deliveries order by notification_id`,
    )
    return rows.map(({ became }) => became)
  }
  t.same(await rows(), ['1 sent', '2 sent', '3 deferred cap', '4 deferred cap'])
  t.match(
    (await readWhy(pool, ana, '2')).decisions.find(({ channel }) => channel === 'webPush'),
    { decision: 'allow' },
  )
  t.match(
    (await readWhy(pool, ana, '4')).decisions.find(({ channel }) => channel === 'webPush'),
    {
      decision: 'defer',
      decidedBy: 'cap',
    },
  )
  await pool.query('update notify.deliveries set due_at = now() where due_at is not null')
  t.same(await rows(), ['1 sent', '2 sent', '3 skipped cap', '4 sent'])
  t.same(sent, ['1', '2', '4'])
})
