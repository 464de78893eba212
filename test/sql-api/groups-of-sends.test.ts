import { test } from 'tap'
import type { App } from '../../src/app.ts'
import { dispatch, drift, inboxApp, makeUsers } from '../notify/dispatch/events.ts'

test("a group that contains a send without actor remains when a person's send is retracted", async (t) => {
  for (const together of [false, true]) {
    const app = await inboxApp(t)
    const [ana = '', ben = ''] = await makeUsers(app, ['Ana', 'Ben'])
    await app.pool.query(`select notify.emit('order.x', array[$1::bigint], 'first', 'First', group_key => 'g')`, [ana])
    await dispatch(app)
    const second = `select notify.emit('order.x', array[$1::bigint], 'second', 'Second', group_key => 'g', actor_id => $2)`
    await app.pool.query(second, [ana, ben])
    if (!together) await dispatch(app)
    await app.pool.query(`select notify.retract(array[$1::bigint], 'second')`, [ana])
    await dispatch(app)
    t.match(await inboxOf(app, ana), [{ actor_count: 0 }])
    t.same(await drift(app, [ana, ben]), [])
    await app.pool.query(`select notify.retract(array[$1::bigint], 'first')`, [ana])
    await dispatch(app)
    t.same(await inboxOf(app, ana), [], 'nobody is left who speaks of it')
    t.same(await drift(app, [ana, ben]), [])
  }
})

test('a group of sends shows the last text, the highest priority and the latest expiry', async (t) => {
  const send = (key: string, app: App, ana: string, rest: string) =>
    app.pool.query(`select notify.emit('order.x', array[$1::bigint], '${key}', '${key}', group_key => 'g', ${rest})`, [
      ana,
    ])
  for (const together of [false, true]) {
    const app = await inboxApp(t)
    const [ana = ''] = await makeUsers(app, ['Ana'])
    const next = async (key: string, rest: string) => {
      await send(key, app, ana, rest)
      if (!together) await dispatch(app)
    }
    await next('one', `body => 'Of the first', url => '/one', expires_at => now() + interval '1 hour'`)
    await next('two', `priority => 'high', severity => 'error', expires_at => now() + interval '3 hours'`)
    await next('three', `priority => 'low', severity => 'warning', expires_at => now() + interval '2 hours'`)
    await dispatch(app)
    const group = { title: 'three', body: null, url: null, priority: 'high', severity: 'warning', hours: 3 }
    t.match(await inboxOf(app, ana), [group])
    await send('four', app, ana, `severity => 'info'`)
    await dispatch(app)
    t.match(await inboxOf(app, ana), [{ title: 'four', severity: 'info', hours: 90 * 24 }], 'kept as its type is')
  }
})

async function inboxOf(app: App, userId: string): Promise<unknown[]> {
  const { rows } = await app.pool.query(
    `select title, body, url, priority, severity, actor_count, round(extract(epoch from expires_at - now()) / 3600)::int as hours
     from notify.notifications where user_id = $1`,
    [userId],
  )
  return rows
}
