import { test } from 'tap'
import { dispatch, inboxApp, like, makePost, makeUsers } from '../notify/dispatch/events.ts'
import { settled } from '../settled.ts'
import { setup } from '../setup.ts'

test('the timeline of an inbox tells what happened, and what was suppressed and why', async (t) => {
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
  await dispatch(app)
  const { rows } = await app.pool.query('select what, source_id, decided_by from notify.timeline($1)', [ana])
  const has = (what: string, source: string | null, by: string | null = null) =>
    t.ok(
      rows.some((row) => row.what === what && row.source_id === source && (by === null || row.decided_by === by)),
      `${what} ${source}`,
    )
  has('created', null)
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
