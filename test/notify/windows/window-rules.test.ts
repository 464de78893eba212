import t from 'tap'
import { maintainDeliveryLog } from '../../../src/notify/delivery-log/partitions.ts'
import { storePreferences } from '../../../src/notify/preferences/store.ts'
import { flushWindows } from '../../../src/notify/windows/flush.ts'
import { flushed } from '../../settled.ts'
import { eventually, setup } from '../../setup.ts'
import { dispatch, inboxApp, like, makePost, makeUsers } from '../dispatch/events.ts'

const POSTS = 200

t.test(
  'windows end randomly up to a quarter earlier or later, and all due ones are flushed in one transaction',
  async (t) => {
    const app = await inboxApp(t)
    await app.pool.query(`update notify.types set instant_threshold = 0 where type = 'post.liked'`)
    const [ana = '', ...owners] = await makeUsers(
      app,
      Array.from({ length: 1 + POSTS }, (_, i) => `U${i}`),
    )
    const likes = await Promise.all(
      owners.map(async (recipientId) => ({ postId: await makePost(app, recipientId), actorId: ana, recipientId })),
    )
    await like(app, ...likes)
    const { rows } = await app.pool.query<{ lasts: number }>(
      'select extract(epoch from due_at - opened_at)::float8 as lasts from notify.windows order by 1',
    )
    t.equal(rows.length, POSTS)
    const [shortest = 0, longest = 0] = [rows[0]?.lasts, rows.at(-1)?.lasts]
    t.ok(shortest >= 90 && longest <= 150, `from ${shortest} to ${longest} seconds`)
    t.ok(shortest < 105 && longest > 135, 'spread over all of it')
    await app.pool.query('update notify.windows set due_at = now()')
    await flushWindows(app)
    const shown = await app.pool.query('select xmin from notify.notifications')
    t.equal(shown.rowCount, POSTS)
    t.equal(new Set(shown.rows.map((row) => row.xmin)).size, 1)
  },
)

t.test('one job is scheduled for the earliest window', async (t) => {
  const system = await setup(t, { worker: true })
  const { app, pool } = system
  const [owner = '', ...actors] = await makeUsers(app, ['Owner', 'Ana', 'Ben', 'Cem', 'Dia'])
  for (let i = 0; i < 3; i++) {
    const postId = await makePost(app, owner)
    for (const actorId of actors) await like(app, { postId, actorId, recipientId: owner })
  }
  const earliest = async () => {
    const { rows } = await pool.query<{ windows: number; jobs: number; onTime: boolean }>(
      `select (select count(*)::int from notify.windows) as windows, count(*)::int as jobs,
         bool_and(run_at = (select min(due_at) from notify.windows)) as "onTime"
       from graphile_worker.jobs where task_identifier = 'flush_windows'`,
    )
    return rows[0]?.windows === 3 && rows[0].jobs === 1 && rows[0].onTime
  }
  await eventually(earliest)
  await pool.query(
    `update notify.windows set due_at = due_at - interval '20 seconds' where group_key = (select max(group_key) from notify.windows)`,
  )
  await eventually(earliest)
  t.match(await pool.query('select actor_count from notify.notifications'), {
    rows: [{ actor_count: 3 }, { actor_count: 3 }, { actor_count: 3 }],
  })
  await flushed(system)
  await eventually(
    async () =>
      (await pool.query(`select from graphile_worker.jobs where task_identifier = 'flush_windows'`)).rowCount === 0,
  )
  t.match(await pool.query('select actor_count from notify.notifications'), {
    rows: [{ actor_count: 4 }, { actor_count: 4 }, { actor_count: 4 }],
  })
})

t.test('actors who wait are shown at once when all earlier ones come and go within a batch', async (t) => {
  const app = await inboxApp(t)
  const [owner = '', ...actors] = await makeUsers(app, ['Owner', 'Ana', 'Ben', 'Cem', 'Dia'])
  const postId = await makePost(app, owner)
  const likes = actors.map((actorId) => ({ postId, actorId, recipientId: owner }))
  await like(app, ...likes, ...likes.slice(0, 3).map((each) => ({ ...each, retracts: true })))
  await flushWindows(app)
  const { rows } = await app.pool.query('select actor_ids, actor_count from notify.notifications')
  t.same(rows, [{ actor_ids: [actors[3]], actor_count: 1 }])
})

t.test('a comment that starts to wait during the flush of its window waits for a full new window', async (t) => {
  const system = await setup(t)
  const { app, pool } = system
  const [ana, ben] = await Promise.all(['ana', 'ben'].map(system.as))
  if (!ana || !ben) throw new Error('nobody signed up')
  const post = await ana.post('hello')
  const first = await ben.comment(post.id, 'first')
  await dispatch(app)
  // Imitates a comment dispatched after the flush locked the waiting comments and before it locked the inbox.
  const flushWhileItComes = async () => {
    await pool.query('update notify.windows set due_at = now()')
    const holder = await pool.connect()
    await holder.query('begin')
    await holder.query('lock table social.posts in exclusive mode') // a flush waits for no row
    const flushing = flushWindows(app).then(
      () => true,
      () => false,
    )
    await eventually(async () => (await pool.query(waitsForPost)).rowCount)
    await holder.query('delete from notify.sources where source_id = $1', ['comment:999'])
    await holder.query(
      `insert into notify.sources (user_id, source_id, event_id, actor_id, live, notified, waits_for, decision)
       select user_id, 'comment:999', event_id + 1, actor_id, false, false, waits_for, 'waiting' from notify.sources where source_id = $1`,
      [`comment:${first.id}`],
    )
    await holder.query('commit')
    holder.release()
    return flushing // false: the table was held for longer than a transaction waits
  }
  await eventually(flushWhileItComes)
  const { rows } = await pool.query(
    `select source_id, live, waits_for is not null as waits from notify.sources where source_id like 'comment:%' and user_id = $1 order by event_id`,
    [ana.id],
  )
  t.same(rows, [
    { source_id: `comment:${first.id}`, live: true, waits: false },
    { source_id: 'comment:999', live: false, waits: true },
  ])
  const windows = await pool.query(
    'select extract(epoch from due_at - opened_at)::float8 as lasts from notify.windows where due_at > now()',
  )
  t.equal(windows.rowCount, 1)
  t.ok(windows.rows[0].lasts >= 45 && windows.rows[0].lasts <= 75, `${windows.rows[0].lasts} seconds`)
})

const waitsForPost = `
  select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%social.posts%key share%'`

t.test(
  'at the end of a window, refused actors are logged with the reason and others with the current decision',
  async (t) => {
    const app = await inboxApp(t)
    await app.pool.query(`update notify.types set instant_threshold = 0 where type = 'post.liked'`)
    const [owner = '', ana = '', ben = ''] = await makeUsers(app, ['Owner', 'Ana', 'Ben'])
    const postId = await makePost(app, owner)
    await like(app, ...[ana, ben].map((actorId) => ({ postId, actorId, recipientId: owner })))
    await maintainDeliveryLog(app.pool, app.log, 7)
    await app.pool.query('insert into social.mutes (user_id, other_id) values ($1, $2)', [owner, ana])
    await storePreferences(app.pool, owner, { snoozeUntil: new Date(Date.now() + 3_600_000).toISOString() })
    await app.pool.query('update notify.windows set due_at = now()')
    await flushWindows(app)
    const { rows } = await app.pool.query(
      'select actor_id, decision, decided_by, silent from notify.sources order by actor_id',
    )
    t.same(rows, [
      { actor_id: ana, decision: 'suppressed', decided_by: 'mute', silent: false },
      { actor_id: ben, decision: 'shown', decided_by: 'snooze', silent: true },
    ])
    const log = await app.pool.query('select event, reason from notify.delivery_history order by event')
    t.same(log.rows, [
      { event: 'filtered', reason: 'mute' },
      { event: 'stored', reason: null },
    ])
  },
)

t.test('when two rules refuse an actor at the end of a window, the first is the reason', async (t) => {
  const app = await inboxApp(t)
  await app.pool.query(`update notify.types set instant_threshold = 0 where type = 'post.liked'`)
  const [owner = '', friend = '', stranger = ''] = await makeUsers(app, ['Owner', 'Friend', 'Stranger'])
  await app.pool.query('insert into social.follows (follower_id, followee_id) values ($1, $2)', [owner, friend])
  const postId = await makePost(app, owner)
  await like(app, ...[friend, stranger].map((actorId) => ({ postId, actorId, recipientId: owner })))
  await storePreferences(app.pool, owner, {
    policy: { strangers: 'drop' },
    types: { 'post.liked': { inApp: false } },
  })
  await app.pool.query('update notify.windows set due_at = now()')
  await flushWindows(app)
  const { rows } = await app.pool.query('select actor_id, decision, decided_by from notify.sources order by actor_id')
  t.same(rows, [
    { actor_id: friend, decision: 'suppressed', decided_by: 'typePreference' },
    { actor_id: stranger, decision: 'suppressed', decided_by: 'strangers' },
  ])
})
