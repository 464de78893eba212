import { test } from 'tap'
import { noDrift, settled } from '../../settled.ts'
import { eventually, setup, type TestSystem } from '../../setup.ts'

const strangersApart = { policy: { strangers: 'filter' }, types: { 'post.liked': { email: true } } }
const mailOnly = { channels: { inApp: false }, types: { 'post.liked': { email: true } } }

for (const windows of [false, true])
  test(`notifications filtered for different reasons share no group${windows ? ' and no window' : ''}`, async (t) => {
    const system = await setup(t, { worker: true, ...(windows ? {} : { windowSeconds: 0 }) })
    const { pool, as } = system
    const [ana, ben, cem, dia] = [await as('ana'), await as('ben'), await as('cem'), await as('dia')]
    await pool.query(`update notify.inbox set reachable_by = '{email}' where user_id = $1`, [ana.id])
    await pool.query(`update notify.types set instant_threshold = 0 where type = 'post.liked'`)
    const post = await ana.post('hello')
    await ana.request('PUT', '/notifications/preferences', strangersApart)
    await ben.like(post.id)
    await settled(system)
    await ana.request('PUT', '/notifications/preferences', mailOnly)
    await cem.like(post.id)
    await settled(system)
    if (windows) {
      t.equal((await pool.query('select from notify.windows')).rowCount, 2)
      // The preferences at the end of the windows apply to all who wait.
      await ana.request('PUT', '/notifications/preferences', strangersApart)
      await flush(system)
      await ana.request('PUT', '/notifications/preferences', mailOnly)
    }
    await dia.like(post.id)
    await flush(system)
    const { rows } = await pool.query(
      `select filter_reason as reason, actor_count as people, (select count(*)::int from notify.deliveries d where d.user_id = n.user_id and d.notification_id = n.id) as mails
       from notify.notifications n where user_id = $1 order by filter_reason desc`,
      [ana.id],
    )
    t.same(rows, [
      { reason: 'strangers', people: windows ? 2 : 1, mails: 0 },
      { reason: 'otherChannels', people: windows ? 1 : 2, mails: 1 },
    ])
    t.match(await ana.get('/notifications?filter=filtered'), {
      items: [{ actors: (windows ? [cem, ben] : [ben]).map(({ id }) => ({ id })) }],
    })
    await noDrift(t, system)
    const filtered = async () => (await ana.get('/notifications/stats')).byState.filtered
    t.equal(await filtered(), 1, 'as many as the list shows')
    await pool.query(`update notify.notifications set archived_at = now() where filter_reason = 'strangers'`)
    t.same([await filtered(), (await ana.get('/notifications?filter=filtered')).items], [0, []])
  })

async function flush(system: TestSystem): Promise<void> {
  await settled(system)
  await system.pool.query('update notify.windows set due_at = now()')
  await eventually(async () => (await system.pool.query('select from notify.windows')).rowCount === 0)
}
