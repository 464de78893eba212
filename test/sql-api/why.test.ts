import { test } from 'tap'
import { maintainDeliveryLog } from '../../src/notify/delivery-log/partitions.ts'
import { grantAdmin } from '../../src/social/accounts/admin.ts'
import { signIn } from '../client.ts'
import { dispatch, inboxApp, like, makePost, makeUsers } from '../notify/dispatch/events.ts'
import { settled } from '../settled.ts'
import { setup } from '../setup.ts'

test('the timeline of an inbox shows what happened, what was suppressed, and why', async (t) => {
  const app = await inboxApp(t)
  const [ana = '', ben = '', cem = ''] = await makeUsers(app, ['ana', 'ben', 'cem'])
  const post = await makePost(app, ana)
  await like(app, { postId: post, actorId: ben, recipientId: ana })
  await app.pool.query('insert into social.blocks (user_id, other_id) values ($1, $2)', [ana, cem])
  await like(app, { postId: post, actorId: cem, recipientId: ana })
  await app.pool.query(
    `select notify.emit('system', array[$1::bigint], 's', 'Hello'), notify.retract(array[$1::bigint], 's')`,
    [ana],
  )
  await maintainDeliveryLog(app.pool, app.log, 30)
  await dispatch(app)
  await app.pool.query(
    `insert into notify.delivery_log (recipient_id, notification_id, event, channel) values ($1, 1, 'pushed', 'inApp'), ($1, 1, 'sent', 'email')`,
    [ana],
  )
  const { rows } = await app.pool.query('select what, source_id, decided_by from notify.timeline($1)', [ana])
  const has = (what: string, source: string | null, by: string | null = null) =>
    t.ok(
      rows.some((row) => row.what === what && row.source_id === source && (by === null || row.decided_by === by)),
      `${what} ${source}`,
    )
  has('created', null)
  has('pushed', null)
  has('email sent', null)
  has('shown', `like:${post}:${ben}`, 'typeDefault')
  has('suppressed', `like:${post}:${cem}`, 'block')
  t.ok(rows.some((row) => row.what === 'retracted' && /^sql:.*:s$/.test(row.source_id)))
  t.same((await app.pool.query('select * from notify.timeline($1)', [ben])).rows, [], 'and of nobody else')
})

test('why names the rule behind each decision, and only to its user', async (t) => {
  const system = await setup(t, { worker: true })
  const [ana, ben] = [await system.as('ana'), await system.as('ben')]
  await ana.request('PUT', '/notifications/preferences', { types: { 'post.liked': { email: true, webPush: false } } })
  const post = await ana.post('hello')
  await ben.like(post.id)
  await settled(system)
  const [item] = (await ana.get('/notifications')).items
  const why = await ana.get(`/notifications/${item.id}/why`)
  t.match(why.decisions, [
    { channel: 'inApp', decision: 'allow', decidedBy: 'typeDefault', reason: /on by default/, until: null },
    { channel: 'email', decision: 'suppress', decidedBy: 'unreachable', reason: /confirmed no address/ },
    { channel: 'webPush', decision: 'suppress', decidedBy: 'typePreference', reason: /switched this type off/ },
  ])
  t.match(await ben.request('GET', `/notifications/${item.id}/why`), { status: 404 })
})

test('why-not shows where a source stopped on its way to a user', async (t) => {
  const system = await setup(t, { worker: true, windowSeconds: 0 })
  const { pool, as } = system
  const [ana, ben, cem] = [await as('ana'), await as('ben'), await as('cem')]
  await grantAdmin(pool, 'cem')
  const admin = await signIn(system.url, 'cem')
  const whyNot = async (id: string, sourceId: string): Promise<string[]> => {
    const { body } = await admin.request('GET', `/admin/users/${id}/why-not?sourceId=${encodeURIComponent(sourceId)}`)
    return body.steps.map(({ step, result, reason }: Record<string, string>) => `${step} ${result}: ${reason}`)
  }
  const post = await ana.post('hello')
  const like = `like:${post.id}:${ben.id}`
  await ben.like(post.id)
  await settled(system)
  t.same(await whyNot(ana.id, like), [
    'event ok: post.liked like',
    'decision ok: it was shown',
    'notification ok: notification 1 is in the inbox, unread',
    'device waits: no device has acknowledged its latest content',
  ])
  t.match(await whyNot(ben.id, like), ['event stops: nobody is notified of their own doing'])
  t.match(await whyNot(cem.id, like), [
    /^event stops: no event of this source names the user; the log reaches back to 2\d{3}-/,
  ])

  await ben.unlike(post.id)
  await cem.request('PUT', `/users/${ana.id}/block`)
  await pool.query(
    `insert into notify.outbox (action, counted, source_id, type, recipient_id, actor_id, data) values ('like', false, 'like:7:9', 'post.liked', $1, $2, jsonb_build_object('postId', $3::text))`,
    [ana.id, cem.id, post.id],
  )
  await pool.query(`select notify.emit('system', array[$1::bigint, 999999], 'letter', 'Dear Ana')`, [ana.id])
  await settled(system)
  t.match(await whyNot(ana.id, like), [
    'event ok: post.liked like',
    'event ok: post.liked like, taken back',
    'decision stops: it was taken back',
    'notification stops: notification 1 was removed',
  ])
  t.match(await whyNot(ana.id, 'like:7:9'), [
    'event ok: post.liked like',
    'decision stops: one of the two blocks the other',
  ])
  t.match(await whyNot(ana.id, 'letter'), [
    'event ok: system send',
    'decision ok: it was shown',
    /^notification ok/,
    /^device waits/,
  ])
  t.match(await whyNot('999999', 'letter'), [
    'inbox stops: the user does not exist, or the account was deleted',
    'event stops: the user had no inbox at the time of the send',
  ])

  await pool.query(
    `update notify.positions set retry_at = 'infinity', failures = 1, failing_since = now(), last_error = 'a full disk'`,
  )
  await ben.follow(ana.id)
  t.match(await whyNot(ana.id, `follow:${ben.id}:${ana.id}`), [
    /^event ok: user.followed follow/,
    /^dispatch waits: lane \d has not read event \d+; it fails: a full disk/,
  ])
  await pool.query(
    `insert into notify.pending (consumer, event_id, recipient_id, event, attempts, last_error, due_at) values
       ('notifications', 1000001, $1, '{"sourceId": "like:8:9"}', 3, 'its data are no object', now() + interval '1 hour'),
       ('notifications', 1000002, $1, '{"sourceId": "like:8:10"}', 9, 'its data are no object', now())`,
    [ana.id],
  )
  await pool.query('update notify.pending set dead_at = now() where event_id = 1000002')
  t.match(await whyNot(ana.id, 'like:8:9'), [
    'dispatch waits: event 1000001 is tried again after 3 failed attempts: its data are no object',
  ])
  t.match(await whyNot(ana.id, 'like:8:10'), [/^dispatch stops: event 1000002 is dead letter \d+ after 9 attempts/])
})
