import pg from 'pg'
import { pino } from 'pino'
import t from 'tap'
import { watchHeldLocks } from '../../src/ops/held-locks.ts'
import { limits } from '../../src/push/limits.ts'
import { writeSettings } from '../../src/worker/settings.ts'
import { runCommandFile } from '../server-process.ts'
import { noDrift, patiently, settled } from '../settled.ts'
import { eventually, setup } from '../setup.ts'

t.test('ops.lag shows what each lane has not read, and since when', async (t) => {
  const { as, pool } = await setup(t)
  const lag = async () => {
    const { rows } = await pool.query(
      `select consumer, sum(events)::int as events, max(age) is not null as waits from ops.lag group by 1 order by 1`,
    )
    return rows
  }
  t.same(await lag(), [
    { consumer: 'counters', events: 0, waits: false },
    { consumer: 'notifications', events: 0, waits: false },
  ])
  const [ana, ben] = [await as('ana'), await as('ben')]
  await ana.follow(ben.id)
  t.same(await lag(), [
    { consumer: 'counters', events: 1, waits: true },
    { consumer: 'notifications', events: 1, waits: true },
  ])
})

t.test('ops.jobs and ops.workers show jobs by state and the process that runs them', async (t) => {
  const { pool } = await setup(t)
  await pool.query(
    `select graphile_worker.add_job('dispatch-outbox', run_at := now() + interval '1 hour'),
            graphile_worker.add_job('retry-pending', run_at := now() - interval '1 hour'),
            graphile_worker.add_job('purge-expired')`,
  )
  await pool.query(
    `update graphile_worker._private_jobs j set attempts = j.max_attempts, last_error = 'the disk is full'
     from graphile_worker.jobs v where v.id = j.id and v.task_identifier = 'purge-expired'`,
  )
  await pool.query(
    `insert into notify.workers (worker_id, host, pid, beat_at) values ('worker-1', 'db1', 42, now() - interval '1 minute')`,
  )
  await pool.query(
    `update graphile_worker._private_jobs j set locked_by = 'worker-1', locked_at = now()
     from graphile_worker.jobs v where v.id = j.id and v.task_identifier = 'retry-pending'`,
  )
  const { rows: jobs } = await pool.query('select task, state, jobs::int, an_error from ops.jobs order by task')
  t.match(jobs, [
    { task: 'dispatch-outbox', state: 'scheduled', jobs: 1 },
    { task: 'purge-expired', state: 'failed', jobs: 1, an_error: 'the disk is full' },
    { task: 'retry-pending', state: 'running', jobs: 1 },
  ])
  const { rows: workers } = await pool.query(
    `select worker_id, host, pid, jobs_locked::int, silent_for > interval '50 seconds' as silent from ops.workers`,
  )
  t.same(workers, [{ worker_id: 'worker-1', host: 'db1', pid: 42, jobs_locked: 1, silent: true }])
})

t.test('ops.pending and ops.dead_letters show the same rows before and after their last attempt', async (t) => {
  const { pool } = await setup(t)
  await pool.query(
    `insert into notify.pending (consumer, event_id, recipient_id, event, attempts, last_error, dead_at)
     select 'notifications', n, n, jsonb_build_object('sourceId', 'like:1:' || n, 'type', 'post.liked'), n, 'why', dead_at
     from (values (1, null), (2, now())) v (n, dead_at)`,
  )
  const of = async (view: string) =>
    (await pool.query(`select event_id::int, source_id, attempts, last_error from ${view}`)).rows
  t.same(await of('ops.pending'), [{ event_id: 1, source_id: 'like:1:1', attempts: 1, last_error: 'why' }])
  t.same(await of('ops.dead_letters'), [{ event_id: 2, source_id: 'like:1:2', attempts: 2, last_error: 'why' }])
})

t.test('ops.count_drift shows exactly the counters that differ from a recount', async (t) => {
  const system = await setup(t, { worker: true })
  const { as, pool } = system
  const [ana, ben] = [await as('ana'), await as('ben')]
  const post = await ana.post('Hello')
  await ben.like(post.id)
  const comment = await ben.comment(post.id, 'Well said')
  await ana.comment(post.id, 'Thanks', comment.id)
  await ben.follow(ana.id)
  await settled(system)
  await noDrift(t, system)
  await pool.query('update social.posts set like_count = like_count + 1, comment_count = comment_count + 1')
  await pool.query('update social.comments set reply_count = reply_count + 1 where id = $1', [comment.id])
  await pool.query(
    `update social.users set follower_count = follower_count + 1, following_count = following_count + 1, post_count = post_count + 1
     where id = $1`,
    [ana.id],
  )
  await pool.query(
    'update notify.inbox set unread_count = unread_count + 1, unseen_count = unseen_count + 1 where user_id = $1',
    [ana.id],
  )
  await pool.query(`update notify.notifications set actor_count = actor_count + 1 where type = 'post.liked'`)
  const { rows } = await pool.query('select counter from ops.count_drift where folded = counted + 1 order by 1')
  t.same(
    rows.map(({ counter }) => counter),
    [
      'comments.reply_count',
      'inbox.unread_count',
      'inbox.unseen_count',
      'notifications.actor_count',
      'posts.comment_count',
      'posts.like_count',
      'users.follower_count',
      'users.following_count',
      'users.post_count',
    ],
  )
})

t.test('ops.inbox_of shows the inbox of a user by name', async (t) => {
  const system = await setup(t, { worker: true })
  const { as, pool } = system
  const [ana, ben, cem] = [await as('ana'), await as('ben'), await as('cem')]
  const post = await ana.post('Hello')
  await ben.like(post.id)
  await cem.like(post.id)
  await settled(system)
  await ben.follow(ana.id)
  await settled(system)
  const { items } = await ana.get('/notifications')
  await ana.request('PATCH', `/notifications/${items[1].id}/read`)
  const { rows } = await pool.query(
    `select id, type, actors, actor_count, object, read, archived, open from ops.inbox_of('ana')`,
  )
  t.match(rows, [
    { type: 'user.followed', actors: 'ben', actor_count: 1, object: `user:${ana.id}`, read: false, open: true },
    { type: 'post.liked', actor_count: 2, object: `post:${post.id}`, read: true, archived: false, open: false },
  ])
  t.match(rows[1].actors, /^(ben, cem|cem, ben)$/)
  t.same((await pool.query(`select * from ops.inbox_of('nobody')`)).rows, [])
})

t.test('ops.held_locks shows who locks an inbox and who waits, and a worker reports it', async (t) => {
  const { as, pool, databaseUrl } = await setup(t)
  const ana = await as('ana')
  const lines: { application: string; role: string; locks: string[] }[] = []
  const log = pino({ level: 'warn' }, { write: (line) => void lines.push(JSON.parse(line)) })
  const asApp = new pg.Pool({ connectionString: databaseUrl, options: '-c role=ravenpost_app', max: 1 })
  t.teardown(() => asApp.end())
  const look = watchHeldLocks(asApp, log, 1)
  const stranger = new pg.Client({ connectionString: databaseUrl, application_name: 'somebody' })
  await stranger.connect()
  t.teardown(() => stranger.end())
  const held = async () =>
    (await pool.query(`select * from ops.held_locks where application = 'somebody' and waiting <> '{}'`)).rows

  await stranger.query('begin; lock notify.inbox in share update exclusive mode')
  for (let n = 0; n < 3; n++) await look()
  await stranger.query('rollback')
  t.same(lines, [], 'what holds up nobody, as vacuum, is not reported')

  await look()
  await stranger.query('begin')
  await stranger.query('select from notify.inbox where user_id = $1 for update', [ana.id])
  const asked = ana.request('PATCH', '/notifications/mark-all-read')
  const [row] = await eventually(async () => {
    const rows = await held()
    return rows.length > 0 && rows
  })
  t.match(row, { state: 'idle in transaction', locks: ['notify.inbox RowShareLock'] })
  t.match([row.waiting.length, row.since], [1, Date])
  t.match(await asked, { status: 503, body: { code: 'INBOX_BUSY' } })
  t.same(lines, [], 'it was not seen twice')
  await look()
  await eventually(async () => {
    await look()
    return lines.length > 0
  })
  await look()
  t.match(lines, [{ application: 'somebody', locks: ['notify.inbox RowShareLock'] }], 'one line in a minute')
  await stranger.query('rollback')
  t.equal((await ana.request('PATCH', '/notifications/mark-all-read')).status, 200)
  t.same((await pool.query(`select from ops.held_locks where application = 'somebody'`)).rows, [])
})

t.test('ops.deliveries and ops.fan_outs show waiting and failed work and its age', async (t) => {
  const { pool, as } = await setup(t)
  const ana = await as('ana')
  await pool.query(
    `insert into notify.deliveries (user_id, notification_id, channel, target, state, grown_modseq, due_at, last_error) values
       ($1, 0, 'email', 'resetPassword', 'queued', 1, now() - interval '5 minutes', 'the server does not answer'),
       ($1, 3, 'webPush', 'browser', 'failed', 1, null, 'gone'),
       ($1, 4, 'email', 'primary', 'deferred', 1, now() + interval '1 hour', null)`,
    [ana.id],
  )
  const { rows: overdue } = await pool.query(
    `select notification_id, target, last_error, overdue > interval '4 minutes' as long from ops.deliveries where overdue > interval '1 minute'`,
  )
  t.same(overdue, [
    {
      notification_id: null,
      target: 'account mail resetPassword',
      last_error: 'the server does not answer',
      long: true,
    },
  ])
  const { rows: states } = await pool.query('select state, count(*)::int from ops.deliveries group by 1 order by 1')
  t.same(states, [
    { state: 'deferred', count: 1 },
    { state: 'failed', count: 1 },
    { state: 'queued', count: 1 },
  ])
  await pool.query(
    `insert into notify.fan_outs (kind, object_id, due_at, attempts, last_error) values
       ('delete_user', 5, now() - interval '5 minutes', 2, 'held'), ('retract_post', 9, now(), 0, null)`,
  )
  await pool.query(`update notify.fan_outs set finished_at = now() where kind = 'retract_post'`)
  const { rows: fanOuts } = await pool.query(
    `select subject, attempts, last_error, overdue > interval '4 minutes' as long from ops.fan_outs where finished_at is null`,
  )
  t.same(fanOuts, [{ subject: 'user 5', attempts: 2, last_error: 'held', long: true }])
})

t.test('ops.settings shows every retention time and limit and where it is set', async (t) => {
  const { app, pool } = await setup(t, { env: { OUTBOX_RETENTION_DAYS: '3', RATE_LIMIT_SCALE: '2' } })
  await pool.query(
    `insert into notify.settings (role, name, value, set_by) values ('api', 'of an older version', '1', 'fixed')`,
  )
  await writeSettings(app, 'api', limits)
  await writeSettings({ ...app, config: { ...app.config, outboxRetentionDays: 4 } }, 'worker', limits)
  await writeSettings({ ...app, config: { ...app.config, outboxRetentionDays: 5 } }, 'worker', limits)
  const found = async (name: string) => {
    const { rows } = await pool.query('select role, value, set_by from ops.settings where name = $1 order by role', [
      name,
    ])
    return rows.map(({ role, value, set_by }) => `${role} ${value} ${set_by}`)
  }
  t.same(await found('retention of the log'), [
    'api 3 days and a tenth OUTBOX_RETENTION_DAYS',
    'worker 5 days and a tenth OUTBOX_RETENTION_DAYS',
  ])
  t.same(await found('rate limit sign-in'), [
    'api 20 a minute per address RATE_LIMIT_SCALE',
    'worker 20 a minute per address RATE_LIMIT_SCALE',
  ])
  t.same(await found('retention of post.liked'), ['null 90 days notify.types'])
  t.same(await found('of an older version'), [])
})

t.test('ops.advice names what costs something, why, and the statement that changes it', async (t) => {
  const { app, pool, databaseUrl } = await setup(t)
  const name = new URL(databaseUrl).pathname.slice(1)
  await pool.query(`
    alter database ${name} set jit = on;
    alter database ${name} set track_io_timing = on;
    alter database ${name} set statement_timeout = '2s';
    alter database ${name} set idle_in_transaction_session_timeout = 0`)
  // In every process, with the pools that these settings of all roles allow.
  for (const role of ['all', 'api', 'push', 'worker'] as const) await writeSettings(app, role, limits)
  await pool.query(`
    insert into notify.processes (id, role, host, pid, memory_bytes)
    select r || i, r, 'host', i, 1 from unnest('{all,api,push,worker}'::text[]) r, generate_series(1, 20) i`)
  const stranger = new pg.Client({ connectionString: databaseUrl, application_name: 'somebody' })
  // It is ended below.
  stranger.on('error', () => {})
  await stranger.connect()
  t.teardown(() => stranger.end())
  await stranger.query('begin isolation level repeatable read; select 1')
  const { rows: mine } = await stranger.query('select pg_backend_pid() as pid')

  const reader = new pg.Client({ connectionString: databaseUrl, options: '-c role=ravenpost_readonly' })
  const owner = new pg.Client({ connectionString: databaseUrl })
  for (const client of [reader, owner]) {
    await client.connect()
    t.teardown(() => client.end())
  }
  const advice = async (client: pg.Client, ...values: string[]) => {
    const { rows } = await client.query<Record<'setting' | 'value' | 'advised' | 'reason' | 'statement', string>>(
      `select * from ops.advice(${values.map((_, i) => `$${i + 1}`)})`,
      values,
    )
    for (const row of rows) t.ok(Object.values(row).every(Boolean), row.setting)
    return new Map(rows.map((row) => [row.setting, row]))
  }
  for (const client of [reader, owner]) {
    const found = await advice(client, '64GB')
    t.match(found.get('shared_buffers'), {
      advised: '2048MB',
      statement: /shared_buffers.*2048MB.*restart|-c shared_buffers=2048MB/,
    })
    t.match(found.get('max_wal_size'), { advised: '4096MB' })
    t.match(found.get('jit'), { value: 'on', advised: 'off', statement: `alter database ${name} reset jit` })
    t.match(found.get('statement_timeout'), { value: '2s', advised: '9s' })
    t.match(found.get('idle_in_transaction_session_timeout'), { value: '0', advised: '10min' })
    // Pools of 10, and 2 + 2 of the console and of long reads; 6 + 1 of push; 12 + 6 + 1 of the worker: 40 + 14 + 17 + 29 of four processes.
    const reserved = Number(
      (await pool.query('show superuser_reserved_connections')).rows[0].superuser_reserved_connections,
    )
    t.match(found.get('max_connections')?.reason, new RegExp(` ${20 * (40 + 14 + 17 + 29) + reserved} connections`))
    t.notOk(found.has('track_io_timing'))
  }
  t.notOk((await advice(owner)).has('shared_buffers'), 'an empty database fits into any')
  t.notOk((await advice(owner, '512MB')).has('shared_buffers'))

  const held = `transaction of process ${mine[0].pid} somebody (postgres)`
  t.notOk((await advice(owner)).has(held), 'not old yet')
  const found = await advice(owner, '512MB', '0 seconds')
  t.equal(found.get(held)?.statement, `select pg_terminate_backend(${mine[0].pid})`)
  await pool.query(found.get(held)?.statement ?? '')
  await eventually(async () => !(await advice(owner, '512MB', '0 seconds')).has(held))
  await pool.query(found.get('jit')?.statement ?? '')
  const again = new pg.Client({ connectionString: databaseUrl, options: '-c jit=off' })
  await again.connect()
  t.teardown(() => again.end())
  t.notOk((await advice(again)).has('jit'))
})

t.test('npm run advise prints the advice for this memory, and refuses what is no memory', async (t) => {
  const { databaseUrl } = await setup(t)
  const advise = (...args: string[]) => runCommandFile(databaseUrl, 'advise', ...args)
  t.match(await advise('--memory', '64GB'), {
    status: 0,
    out: /^shared_buffers: .*, better 2048MB\n {2}Because .*\n {2}.*2048MB[\s\S]*The sizes are for 64GB of memory\.$/m,
  })
  for (const wrong of [['--memory'], ['--memory', 'much'], ['--disk', '1GB']])
    t.match(await advise(...wrong), { status: 1, err: /^Usage: npm run advise/ })
})

t.test('ops.check names what is wrong, and nothing on a system where all is well', async (t) => {
  const { pool, as, databaseUrl } = await setup(t)
  const [ana, ben] = [await as('ana'), await as('ben')]
  const post = await ana.post('Hello')
  await ben.like(post.id)
  await ben.follow(ana.id)
  await pool.query(`
    insert into notify.workers (worker_id, host, pid) values ('worker-1', 'db1', 42);
    insert into notify.delivery_log_days (name, from_at, to_at) values ('delivery_log_20200101', now(), now() + interval '3 days')`)
  await pool.query(`select notify.write_audit(null, $1, null) from generate_series(1, 3)`, ['test.change'])
  const check = async (client: pg.Client | pg.Pool, patience: string) => {
    const { rows } = await client.query('select * from ops.check($1) where not ok', [patience])
    // A test server risks its data, to be fast, and other tests use it.
    const ofServer = ['settings', 'connections', 'replication slots']
    return rows.filter(({ name }) => !ofServer.includes(name))
  }
  const reader = new pg.Client({ connectionString: databaseUrl, options: '-c role=ravenpost_readonly' })
  await reader.connect()
  t.teardown(() => reader.end())
  for (const client of [pool, reader]) t.same(await check(client, '10 minutes'), [])

  await reader.query(`set idle_session_timeout = '1h'`)
  const { rows: settings } = await reader.query(`select detail from ops.check() where name = 'settings'`)
  t.match(settings[0].detail, /idle_session_timeout = 3600000/)

  const slot = `check_${process.pid}`
  await pool.query('select pg_create_physical_replication_slot($1, true)', [slot])
  const { rows: slots } = await pool.query(`select detail from ops.check() where name = 'replication slots'`)
  await pool.query('select pg_drop_replication_slot($1)', [slot])
  t.match(slots[0].detail, new RegExp(`${slot}: nobody reads it, keeps .* of WAL`))

  // Apart from the rest: the adoption that it causes advances sequences before it commits.
  await pool.query(`select setval('notify.outbox_id_seq', (select max(id) - 1 from notify.outbox))`)
  const { rows: sequences } = await pool.query(`select detail, hint from ops.check() where name = 'sequences'`)
  await pool.query(`select setval('notify.outbox_id_seq', (select max(id) from notify.outbox))`)
  t.match(sequences, [{ detail: /would repeat/, hint: 'npm run adopt' }])

  const stranger = new pg.Client({ connectionString: databaseUrl, application_name: 'somebody' })
  await stranger.connect()
  t.teardown(() => stranger.end())
  await stranger.query('begin; lock notify.tombstones in row exclusive mode')
  await pool.query(`
    select notify.pause_lanes('notifications', 99);
    update notify.positions set failing_since = now(), last_error = 'the disk is full' where lane = 3;
    update notify.positions set done = pg_current_snapshot() where consumer = 'counters'`)
  await patiently(pool, (client) =>
    client.query(`
      set session_replication_role = replica;
      delete from notify.workers;
      delete from notify.delivery_log_days;
      update notify.audit set target = 'changed by force' where id = 2;
      update notify.inbox set unread_count = 7 where user_id = ${ana.id};
      update social.posts set like_count = 7 where id = ${post.id};
      update notify.installation set epoch = 'another';
      update pg_index set indisvalid = false where indexrelid = 'notify.windows_due'::regclass;
      alter table notify.outbox owner to current_user;
      insert into notify.pending (consumer, event_id, event, dead_at, due_at)
        values ('notifications', 1, '{}', now(), now()), ('notifications', 2, '{}', null, now() - interval '1 hour');
      insert into notify.windows (user_id, group_key, type, due_at, attempts) values (${ana.id}, 'g', 'post.liked', now() + interval '1 hour', 3);
      insert into notify.fan_outs (kind, object_id, attempts, last_error) values ('delete_user', 5, 3, 'held');
      insert into notify.webhooks (endpoint, events, disabled_at, disabled_because) values ('https://example.org', '{notification.created}', now(), 'gone');
      insert into notify.deliveries (user_id, notification_id, channel, target, grown_modseq, due_at) values (${ben.id}, 9, 'email', 'primary', 1, now() - interval '1 hour')`),
  )
  const found = new Map<string, string>((await check(pool, '0 seconds')).map(({ name, detail }) => [name, detail]))
  const wanted = {
    adoption: /restored or copied/,
    workers: /no worker/,
    lag: /notifications\/\d: \d events, the oldest 00:/,
    'failing lanes': /notifications\/3 since .*: the disk is full/,
    'paused lanes': /notifications\/99 since .* by \w+, ravenpost app/,
    'pending events': /1 events, due since/,
    'dead letters': /^1 events/,
    windows: /^1 groups/,
    'fan-outs': /delete_user: held/,
    'mails and pushes': /^1 are overdue/,
    webhooks: /disabled, gone/,
    counts: /inbox \d+ has 0 unread, not 7; post \d+ has 1 likes, not 7/,
    'audit log': /by force/,
    partitions: /notify.delivery_log has none/,
    indexes: /notify.windows_due/,
    roles: /does not belong to ravenpost_log/,
    'held locks': /somebody/,
    'old transactions': /somebody/,
  }
  t.same([...found.keys()], Object.keys(wanted))
  for (const [name, detail] of Object.entries(wanted)) t.match(found.get(name), detail)
})
