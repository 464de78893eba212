import { test } from 'tap'
import type { Parcel, Sender } from '../../../src/notify/channels/send.ts'
import { sendDeliveries } from '../../../src/notify/channels/send.ts'
import type { Preferences } from '../../../src/notify/preferences/document.ts'
import { storePreferences } from '../../../src/notify/preferences/store.ts'
import { block, mute, muteThread } from '../../../src/social/blocks/write.ts'
import { inboxApp, like, makePost, makeUsers } from '../dispatch/events.ts'

/** What changes between queueing and sending, and what becomes of the push then. Ben and Cem like Ana's post; she follows Ben. */
type Case = [rule: string, became: string, change: (people: People) => Promise<unknown>]
type People = { ana: string; ben: string; cem: string; post: string; prefer(document: Preferences): Promise<void> }

test('before an email or push is sent, all rules are checked again', async (t) => {
  const app = await inboxApp(t)
  const { pool } = app
  const requestId = 'test'
  const wanted = { types: { 'post.liked': { webPush: true } } }
  const cases: Case[] = [
    ['nothing', 'sent', async () => {}],
    ['one of two is muted', 'sent', ({ ana, ben }) => mute(app, ana, ben, null)],
    [
      'a mute that is over',
      'sent',
      async ({ ana, ben, cem }) => {
        await mute(app, ana, ben, -60)
        await mute(app, ana, cem, -60)
      },
    ],
    [
      'both are muted',
      'skipped mute',
      async ({ ana, ben, cem }) => {
        await mute(app, ana, ben, 60)
        await mute(app, ana, cem, null)
      },
    ],
    [
      'both block her',
      'skipped block',
      async ({ ana, ben, cem }) => {
        await block(app, { userId: ben, otherId: ana, requestId })
        await block(app, { userId: cem, otherId: ana, requestId })
      },
    ],
    [
      'she blocks both',
      'cancelled removed',
      async ({ ana, ben, cem }) => {
        await block(app, { userId: ana, otherId: ben, requestId })
        await block(app, { userId: ana, otherId: cem, requestId })
      },
    ],
    ['the thread is muted', 'skipped threadMute', ({ ana, post }) => muteThread(app, ana, post)],
    ['no strangers, but she follows one', 'sent', ({ prefer }) => prefer({ ...wanted, policy: { strangers: 'drop' } })],
    [
      'no strangers, and she follows nobody any more',
      'skipped strangers',
      async ({ ana, prefer }) => {
        await prefer({ ...wanted, policy: { strangers: 'drop' } })
        await pool.query('delete from social.follows where follower_id = $1', [ana])
      },
    ],
    [
      'strangers apart',
      'skipped strangers',
      async ({ ana, prefer }) => {
        await prefer({ ...wanted, policy: { strangers: 'filter' } })
        await pool.query('delete from social.follows where follower_id = $1', [ana])
      },
    ],
    [
      'the type is off',
      'skipped typePreference',
      ({ prefer }) => prefer({ types: { 'post.liked': { webPush: false } } }),
    ],
    ['the channel is off', 'skipped channelPreference', ({ prefer }) => prefer({ channels: { webPush: false } })],
    ['back to the default', 'skipped typeDefault', ({ prefer }) => prefer({})],
    [
      'snoozed',
      'deferred snooze',
      ({ prefer }) => prefer({ ...wanted, snoozeUntil: new Date(Date.now() + 3_600_000).toISOString() }),
    ],
    [
      'snoozed until a time that PostgreSQL cannot hold',
      'deferred snooze',
      ({ ana }) =>
        pool.query(
          `update notify.preferences set document = document || '{"snoozeUntil": "2999-01-01T00:00:00+23:59"}' where user_id = $1`,
          [ana],
        ),
    ],
    [
      'a document that cannot be read holds up nobody else',
      'queued',
      ({ ana }) =>
        pool.query(
          `update notify.preferences set document = '{"dnd": {"enabled": true, "timeZone": "Nowhere", "windows": []}}' where user_id = $1`,
          [ana],
        ),
    ],
    [
      'quiet hours',
      'deferred dnd',
      ({ prefer }) =>
        prefer({
          ...wanted,
          dnd: {
            enabled: true,
            timeZone: 'UTC',
            windows: [{ days: [1, 2, 3, 4, 5, 6, 7], from: '00:00', to: '00:00' }],
          },
        }),
    ],
    [
      'read',
      'cancelled read',
      ({ ana }) =>
        pool.query('update notify.notifications set read_at = now(), delivered_at = now() where user_id = $1', [ana]),
    ],
    [
      'archived',
      'cancelled archived',
      ({ ana }) => pool.query('update notify.notifications set archived_at = now() where user_id = $1', [ana]),
    ],
    [
      'expired',
      'cancelled removed',
      ({ ana }) =>
        pool.query(`update notify.notifications set expires_at = now() - interval '1 s' where user_id = $1`, [ana]),
    ],
  ]
  const users = new Map<string, string>()
  for (const [rule, , change] of cases) {
    const [ana = '', ben = '', cem = ''] = await makeUsers(app, ['ana', 'ben', 'cem'])
    users.set(ana, rule)
    const prefer = (document: Preferences) => storePreferences(pool, ana, document)
    await pool.query(`update notify.inbox set reachable_by = '{webPush}' where user_id = $1`, [ana])
    await pool.query(
      `insert into notify.push_subscriptions (user_id, id, endpoint, p256dh, auth, session_id) values ($1, 'browser', 'https://push.example/', '', '', 1)`,
      [ana],
    )
    await pool.query('insert into social.follows (follower_id, followee_id) values ($1, $2)', [ana, ben])
    await prefer(wanted)
    const post = await makePost(app, ana)
    await like(app, ...[ben, cem].map((actorId) => ({ postId: post, actorId, recipientId: ana })))
    await change({ ana, ben, cem, post, prefer })
  }
  const sent: Parcel[] = []
  const push: Sender = {
    async send(parcel) {
      sent.push(parcel)
      return { state: 'sent' }
    },
    close() {},
  }
  await sendDeliveries({ ...app, senders: { email: null, webPush: push } })
  const { rows } = await pool.query(
    `select user_id, concat_ws(' ', state, reason) as became from notify.deliveries order by user_id`,
  )
  t.same(
    Object.fromEntries(rows.map(({ user_id, became }) => [users.get(user_id), became])),
    Object.fromEntries(cases.map(([rule, became]) => [rule, became])),
  )
  t.same(
    sent.map(({ userId }) => users.get(userId)).sort(),
    cases
      .filter(([, became]) => became === 'sent')
      .map(([rule]) => rule)
      .sort(),
  )
  t.same(
    (await pool.query(`select from notify.deliveries where state = 'failed'`)).rows,
    [],
    'what was not wanted did not fail',
  )
})
