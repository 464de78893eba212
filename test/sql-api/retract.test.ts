import { test } from 'tap'
import { dispatch, drift, inboxApp, makeUsers } from '../notify/dispatch/events.ts'

test('a repeated send counts for its latest actor, also if it was retracted before', async (t) => {
  const app = await inboxApp(t)
  const [ana = '', ben = '', eve = ''] = await makeUsers(app, ['Ana', 'Ben', 'Eve'])
  const emit = (actor: string) =>
    app.pool.query(
      `select notify.emit('shop.paid', array[$1::bigint], 's', 'Paid', actor_id => $2::bigint, group_key => 'paid')`,
      [ana, actor],
    )
  const retract = () => app.pool.query(`select notify.retract(array[$1::bigint], 's')`, [ana])
  const actors = async () => {
    await dispatch(app)
    const { rows } = await app.pool.query('select actor_ids::text[] as ids, actor_count as n from notify.notifications')
    return rows
  }
  await retract()
  t.same(await actors(), [])
  await emit(ben)
  t.same(await actors(), [{ ids: [ben], n: 1 }])
  await app.pool.query(
    `select notify.emit('shop.paid', array[$1::bigint], 'other', 'Paid', actor_id => $2::bigint, group_key => 'paid')`,
    [ana, ben],
  )
  await retract()
  t.same(await actors(), [{ ids: [ben], n: 1 }])
  await emit(eve)
  t.same(await actors(), [{ ids: [eve, ben], n: 2 }])
  t.same(await drift(app, [ana]), [])
})
