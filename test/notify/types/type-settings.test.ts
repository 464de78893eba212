import { test } from 'tap'
import type { App } from '../../../src/app.ts'
import { loadShown, type NotificationRow, notificationColumns, toNotification } from '../../../src/notify/inbox/view.ts'
import { storePreferences } from '../../../src/notify/preferences/store.ts'
import { dispatch, inboxApp, like, makePost, makeUsers } from '../dispatch/events.ts'

test('the settings of a type apply: severity, retention, group size, plural forms and fallback', async (t) => {
  const app = await inboxApp(t)
  await app.pool.query(
    `update notify.types set window_seconds = 0, max_group_size = 2, retention = '1 hour', severity = 'success',
       title = '{count, plural, one {One person} other {# people}} liked it', body = 'It is {object} {postId}', fallback = 'Likes: {count}'
     where type = 'post.liked'`,
  )
  const [ana = '', ...likers] = await makeUsers(app, ['ana', 'ben', 'cem', 'dia'])
  const post = await makePost(app, ana)
  for (const actorId of likers) await like(app, { postId: post, actorId, recipientId: ana })
  const body = `It is post ${post}`
  t.match(await inboxOf(app, ana), [
    { actorCount: 2, title: '2 people liked it', body, fallback: 'Likes: 2', severity: 'success' },
    { actorCount: 1, title: 'One person liked it', body, fallback: 'Likes: 1' },
  ])
  const { rows } = await app.pool.query(
    `select extract(epoch from expires_at - created_at)::int as seconds, closed_at is null as open from notify.notifications order by id`,
  )
  t.same(rows, [
    { seconds: 3600, open: false },
    { seconds: 3600, open: true },
  ])
})

test('critical notifications are never grouped and use every channel regardless of preferences', async (t) => {
  const app = await inboxApp(t)
  const { pool } = app
  await pool.query(`update notify.types set priority = 'critical', instant_threshold = 0 where type = 'post.liked'`)
  const [ana = '', ben = ''] = await makeUsers(app, ['ana', 'ben'])
  await pool.query(`update notify.inbox set reachable_by = '{email,webPush}' where user_id = $1`, [ana])
  await pool.query(
    `insert into notify.push_subscriptions (user_id, id, endpoint, p256dh, auth, session_id) values ($1, 'browser', 'https://push.example/', '', '', 1)`,
    [ana],
  )
  await storePreferences(pool, ana, {
    channels: { inApp: false, email: false, webPush: false },
    types: { system: { inApp: false, email: false, webPush: false } },
    snoozeUntil: new Date(Date.now() + 3_600_000).toISOString(),
  })
  await like(app, { postId: await makePost(app, ana), actorId: ben, recipientId: ana })
  await pool.query(
    `select notify.emit('system', array[$1::bigint], 'code', 'Your code', priority => 'critical', group_key => 'codes')`,
    [ana],
  )
  await dispatch(app)
  t.match(await inboxOf(app, ana), [
    { type: 'post.liked', priority: 'critical', silent: false },
    { title: 'Your code', priority: 'critical', silent: false },
  ])
  const { rows } = await pool.query(
    `select notification_id as id, channel, state, due_at <= now() as due from notify.deliveries order by 1, 2`,
  )
  t.same(
    rows,
    ['1', '2'].flatMap((id) => ['email', 'webPush'].map((channel) => ({ id, channel, state: 'queued', due: true }))),
  )
})

async function inboxOf(app: App, userId: string) {
  const { rows } = await app.pool.query<NotificationRow>(
    `select ${notificationColumns} from notify.notifications n where n.user_id = $1 and not n.filtered order by n.id`,
    [userId],
  )
  const shown = await loadShown(app, rows)
  return rows.map((row) => toNotification(row, shown, 0))
}
