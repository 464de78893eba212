import { test } from 'tap'
import type { App } from '../../src/app.ts'
import { adopt } from '../../src/notify/outbox/adopt.ts'
import { maintainPartitions } from '../../src/notify/outbox/partitions.ts'
import { dispatch, drift, inboxApp, like, makePost, makeUsers } from '../notify/dispatch/events.ts'
import { eventually } from '../setup.ts'

const inboxes = async ({ pool }: App) =>
  (await pool.query('select user_id, modseq, unread_count, unseen_count from notify.inbox order by 1')).rows

const pending = async ({ pool }: App) =>
  (
    await pool.query<{ n: string }>(
      `select coalesce(sum(events), 0) as n from ops.lag where consumer = 'notifications'`,
    )
  ).rows[0]?.n

test('a replay reads everything again, and nobody is notified or counted twice', async (t) => {
  const app = await inboxApp(t)
  const users = await makeUsers(app, ['ana', 'ben', 'cem', 'dia'])
  const [ana = '', ben = '', cem = '', dia = ''] = users
  const post = await makePost(app, ana)
  await like(app, ...[ben, cem, dia].map((actorId) => ({ postId: post, actorId, recipientId: ana })))
  await like(app, { postId: post, actorId: ben, recipientId: ana, retracts: true })
  await app.pool.query(
    `select notify.emit('system', $1::bigint[], 's', 'Hello', priority => p) from unnest('{critical,low}'::text[]) p`,
    [users],
  )
  await dispatch(app)
  await app.pool.query(
    `select notify.emit('system', $1::bigint[], 'gone', 'Gone'), notify.retract($1::bigint[], 'gone')`,
    [users],
  )
  await dispatch(app)
  const before = await inboxes(app)
  const { rows } = await app.pool.query(`select notify.replay('notifications', now() - interval '1 hour') as n`)
  t.ok(Number(rows[0].n) >= 4 + 8 + 8, `it reads ${rows[0].n} events again`)
  t.not(await pending(app), '0', 'which are waiting now')
  await dispatch(app)
  t.equal(await pending(app), '0')
  t.same(await inboxes(app), before, 'no inbox changed')
  t.same(await drift(app, users), [])
})

test('events unread or open before a replay are read after it', async (t) => {
  const app = await inboxApp(t)
  const [ana = ''] = await makeUsers(app, ['ana'])
  const emit = (source: string) => ({
    text: `select notify.emit('system', array[$1::bigint], $2, $2)`,
    values: [ana, source],
  })
  const open = await app.pool.connect()
  await open.query('begin')
  await open.query(emit('open'))
  await app.pool.query(emit('read'))
  await dispatch(app)
  const { rows: clock } = await app.pool.query<{ now: Date }>('select clock_timestamp() as now')
  await app.pool.query(emit('unread'))
  await app.pool.query(`select notify.replay('notifications', $1)`, [clock[0]?.now])
  await open.query('commit')
  open.release()
  await dispatch(app)
  const { rows } = await app.pool.query<{ title: string }>(
    'select title from notify.notifications where user_id = $1',
    [ana],
  )
  t.same(rows.map((row) => row.title).sort(), ['open', 'read', 'unread'])
})

test('a replay loses no event that a slower lane has not read', async (t) => {
  const app = await inboxApp(t)
  const [ana = ''] = await makeUsers(app, ['ana'])
  await app.pool.query(`select notify.emit('system', array[$1::bigint], 'old', 'old')`, [ana])
  const { rows: clock } = await app.pool.query<{ now: Date }>('select clock_timestamp() as now')
  await app.pool.query(`select notify.emit('system', array[$1::bigint], 'new', 'new')`, [ana])
  await app.pool.query(`select notify.replay('notifications', $1)`, [clock[0]?.now])
  await dispatch(app)
  const { rows } = await app.pool.query('select title from notify.notifications where user_id = $1 order by id', [ana])
  t.same(rows, [{ title: 'old' }, { title: 'new' }])
})

test('a replay reads partitions that its lanes have passed, but nothing older than an adoption', async (t) => {
  const app = await inboxApp(t)
  const { pool, log } = app
  const [ana = ''] = await makeUsers(app, ['ana'])
  const emit = (source: string) => pool.query(`select notify.emit('system', array[$1::bigint], $2, $2)`, [ana, source])
  const replay = async () =>
    (await pool.query(`select notify.replay('notifications', now() - interval '1 hour') as n`)).rows[0].n
  await emit('one')
  await pool.query(
    `select setval('notify.outbox_id_seq', min(to_id), false) from notify.outbox_partitions, notify.outbox_id_seq s where to_id > s.last_value`,
  )
  await emit('two')
  await eventually(async () => {
    await pool.query(`update notify.positions set moved_at = now() - interval '2 minutes'`)
    await dispatch(app)
    await maintainPartitions(pool, log, 7)
    const { rowCount } = await pool.query(
      'select from notify.positions where from_id < (select last_value from notify.outbox_id_seq)',
    )
    return rowCount === 0
  })
  t.equal(await replay(), '2')
  await dispatch(app)
  t.equal(await pending(app), '0')
  t.equal((await pool.query('select from notify.notifications where user_id = $1', [ana])).rowCount, 2)

  const client = await pool.connect()
  // Maintenance that has begun before a replay commits sees the position as it was, and must not move it on.
  await client.query('begin')
  t.equal((await client.query(`select notify.replay('notifications', now() - interval '1 hour') as n`)).rows[0].n, '2')
  const maintaining = maintainPartitions(pool, log, 7)
  await eventually(async () => {
    const { rows } = await pool.query(
      `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%max(p.to_id)%'`,
    )
    return rows.length > 0
  })
  await client.query('commit')
  await maintaining
  t.equal(await pending(app), '2')
  await dispatch(app)

  await adopt(client, log, { onlyIfDifferent: false })
  client.release()
  await emit('three')
  await dispatch(app)
  t.equal(await replay(), '1')
})

test('a replay of counters, unknown consumers or too old events is refused', async (t) => {
  const { pool } = await inboxApp(t)
  for (const [consumer, since, message] of [
    ['counters', '1 hour', /count twice/],
    ['nobody', '1 hour', /no consumer/],
    ['notifications', '8 days', /7 days/],
  ] as const)
    await t.rejects(pool.query('select notify.replay($1, now() - $2::interval)', [consumer, since]), {
      code: '22023',
      message,
    })
  t.same((await pool.query(`select notify.replay('notifications', now()) as n`)).rows, [{ n: '0' }])
})
