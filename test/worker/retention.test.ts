import { mock } from 'node:test'
import { pino } from 'pino'
import t from 'tap'
import { purge } from '../../src/worker/retention.ts'
import { call } from '../client.ts'
import { noDrift, settled } from '../settled.ts'
import { eventually, setup, type TestSystem } from '../setup.ts'

const log = pino({ level: 'silent' })

async function liked(system: TestSystem, posts: number) {
  const [ana, ben] = [await system.as('ana'), await system.as('ben')]
  for (let i = 0; i < posts; i++) await ben.like((await ana.post(`post ${i}`)).id)
  await settled(system)
  return { ana, ben }
}

t.test('an expired notification is removed like any other', async (t) => {
  const system = await setup(t, { worker: true })
  const { ana } = await liked(system, 3)
  const { state } = await ana.get('/notifications')
  await system.pool.query(`update notify.notifications set expires_at = now() - interval '1 second' where id = 2`)
  await purge({ ...system.app, log })
  const changes = await ana.get(`/notifications/changes?since=${state}`)
  t.match(changes, { removes: ['2'], upserts: [], unreadCount: 2, unseenCount: 2, more: false })
  t.equal((await ana.get('/notifications')).items.length, 2)
  await noDrift(t, system)
})

t.test('purging tombstones raises the floor: older states are refused, newer ones resume', async (t) => {
  const system = await setup(t, { worker: true })
  const { ana } = await liked(system, 4)
  const before = (await ana.get('/notifications')).state
  await ana.request('DELETE', '/notifications/1')
  const between = (await ana.get('/notifications')).state
  await system.pool.query(`update notify.tombstones set removed_at = now() - interval '31 days'`)
  await ana.request('DELETE', '/notifications/2')
  await purge({ ...system.app, log })
  t.match(await ana.request('GET', `/notifications/changes?since=${before}`), {
    status: 410,
    body: { code: 'STATE_TOO_OLD' },
  })
  t.match(await ana.get(`/notifications/changes?since=${between}`), { removes: ['2'] })
  const { rows } = await system.pool.query('select id from notify.tombstones')
  t.same(rows, [{ id: '2' }])
})

t.test('what is left of users whose inbox is held does not postpone that of others', async (t) => {
  const system = await setup(t)
  const [ana, ben] = [await system.as('ana'), await system.as('ben')]
  const old = `now() - interval '31 days'`
  await system.pool.query(
    `insert into notify.tombstones (user_id, modseq, id, removed_at)
     select $1::bigint, i, i, ${old} - interval '1 hour' from generate_series(1, 1000) i union all select $2, 1, 1, ${old}`,
    [ana.id, ben.id],
  )
  await system.pool.query(
    `with s as (
       insert into social.sessions (user_id, expires_at)
       select $1::bigint, ${old} - interval '1 hour' from generate_series(1, 1000) union all select $2, ${old}
       returning id, user_id, expires_at
     )
     insert into notify.push_subscriptions (id, user_id, session_id, endpoint, p256dh, auth)
     select s.id::text, s.user_id, s.id, 'https://push.example.org/' || s.id, '', '' from s`,
    [ana.id, ben.id],
  )
  const holder = await system.pool.connect()
  await holder.query('begin')
  await holder.query('select from notify.inbox where user_id = $1 for update', [ana.id])
  await purge({ ...system.app, log })
  const left = async () => {
    const { rows } = await system.pool.query(
      `select (select count(*)::int from notify.tombstones where user_id = u.id) as tombstones,
         (select count(*)::int from social.sessions where user_id = u.id and expires_at < now()) as sessions
       from unnest($1::bigint[]) with ordinality u (id, place) order by place`,
      [[ana.id, ben.id]],
    )
    return rows
  }
  t.same(await left(), [
    { tombstones: 1000, sessions: 1000 },
    { tombstones: 0, sessions: 0 },
  ])
  await holder.query('commit')
  holder.release()
  await purge({ ...system.app, log })
  t.same(await left(), [
    { tombstones: 0, sessions: 0 },
    { tombstones: 0, sessions: 0 },
  ])
})

t.test('a source is kept as long as its notification, and at least 32 days', async (t) => {
  const system = await setup(t, { worker: true })
  const { ana } = await liked(system, 3)
  await ana.request('DELETE', '/notifications/1')
  await ana.request('DELETE', '/notifications/2')
  await system.pool.query(
    `update notify.sources set decided_at = now() - interval '33 days' where source_id like 'like:1:%' or source_id like 'like:3:%'`,
  )
  await purge({ ...system.app, log })
  const { rows } = await system.pool.query('select source_id from notify.sources order by 1')
  t.match(rows, [{ source_id: /^like:2:/ }, { source_id: /^like:3:/ }])
})

t.test('expired sessions and old dead letters are deleted', async (t) => {
  const system = await setup(t)
  const ana = await system.as('ana')
  await system.pool.query(`update social.sessions set expires_at = now() - interval '1 second'`)
  await system.pool.query(
    `insert into notify.pending (consumer, event_id, event, created_at, dead_at)
     values ('counters', 1, '{}', now() - interval '31 days', now()), ('counters', 2, '{}', now() - interval '29 days', now())`,
  )
  await purge({ ...system.app, log })
  t.same((await system.pool.query('select id from social.sessions')).rows, [])
  t.same((await system.pool.query('select event_id from notify.pending')).rows, [{ event_id: '2' }])
  t.match(await ana.request('POST', '/auth/refresh', { refreshToken: ana.refreshToken }), { status: 401 })
})

t.test('each run of retention checks a part of the sources, and all of them within a day', async (t) => {
  const { app, pool, as } = await setup(t)
  const ana = await as('ana')
  await pool.query(
    `insert into notify.sources (user_id, source_id, event_id, live, notified, decision, decided_at)
     select $1, 'like:' || i, i, false, true, 'retracted', now() - interval '33 days' from generate_series(1, 5000) i`,
    [ana.id],
  )
  await pool.query('analyze notify.sources')
  const left: number[] = []
  for (let run = 0; run < 3; run++) {
    await purge({ ...app, log })
    left.push((await pool.query('select count(*)::int as left from notify.sources')).rows[0].left)
  }
  t.same(left, [3000, 1000, 0])
  await pool.query(
    `insert into notify.sources (user_id, source_id, event_id, live, notified, decision, decided_at)
     values ($1, 'a', 1, false, true, 'retracted', now() - interval '33 days')`,
    [ana.id],
  )
  await purge({ ...app, log })
  t.equal((await pool.query('select from notify.sources')).rowCount, 0, 'it begins anew at its end')
})

t.test('a source that waits for a window is kept, however long the window fails', async (t) => {
  const { app, pool, as } = await setup(t)
  const ana = await as('ana')
  await pool.query(
    `insert into notify.sources (user_id, source_id, event_id, live, notified, decision, waits_for, decided_at)
     values ($1, 'like:1', 1, false, false, 'waiting', 'post.liked:1', now() - interval '40 days')`,
    [ana.id],
  )
  await purge({ ...app, log })
  t.equal((await pool.query('select from notify.sources')).rowCount, 1)
})

t.test('a source that an event makes live while retention waits for it is kept', async (t) => {
  const { app, pool, as } = await setup(t)
  const ana = await as('ana')
  await pool.query(
    `insert into notify.sources (user_id, source_id, event_id, live, notified, decision, decided_at)
     select $1, 'like:' || i, 1, false, false, 'suppressed', now() - interval '33 days' from generate_series(1, 3) i`,
    [ana.id],
  )
  const client = await pool.connect()
  t.teardown(() => client.release())
  await client.query('begin')
  await client.query(
    `update notify.sources set event_id = 2, live = true, notified = true, decision = 'shown', notification_id = 1, decided_at = now()
     where source_id = 'like:1'`,
  )
  await client.query(
    `update notify.sources set waits_for = 'post.liked:1', decision = 'waiting' where source_id = 'like:2'`,
  )
  await client.query(`update notify.sources set event_id = 2, decided_at = now() where source_id = 'like:3'`)
  const purged = purge({ ...app, log })
  await eventually(async () => {
    const waiting = `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%forgotten%'`
    return (await pool.query(waiting)).rowCount === 1
  })
  await client.query('commit')
  await purged
  const { rows } = await pool.query('select source_id from notify.sources order by 1')
  t.same(rows, [{ source_id: 'like:1' }, { source_id: 'like:2' }, { source_id: 'like:3' }])
})

/** Rows that are old, and changes after which they are in use again. */
const revived = {
  'a finished delivery that is queued anew': [
    `insert into notify.deliveries (user_id, notification_id, channel, target, state, grown_modseq, updated_at)
     values (1, 1, 'email', 'a', 'sent', 1, now() - interval '91 days')`,
    `update notify.deliveries set state = 'queued', due_at = 'infinity', updated_at = now()`,
  ],
  'a dead letter that is replayed': [
    `insert into notify.pending (consumer, event_id, event, created_at, dead_at) values ('counters', 1, '{}', now() - interval '31 days', now())`,
    `update notify.pending set dead_at = null, due_at = 'infinity'`,
  ],
  'a finished fan-out that begins anew': [
    `insert into notify.fan_outs (kind, object_id, finished_at) values ('retract_actor', 1, now() - interval '31 days')`,
    `update notify.fan_outs set finished_at = null, due_at = 'infinity'`,
  ],
  'an idempotency key that is taken anew': [
    `insert into social.idempotency_keys (caller, key, request_hash, status, created_at) values ('user:1', 'a', '', 201, now() - interval '31 days')`,
    `update social.idempotency_keys set created_at = now()`,
  ],
  'a refresh token that is used': [
    `with u as (insert into social.users (username, email, password_hash, display_name) values ('ana', 'ana@example.org', '-', 'Ana') returning id),
       s as (insert into social.sessions (user_id, expires_at) select id, now() + interval '1 day' from u returning id)
     insert into social.refresh_tokens (token_hash, session_id, created_at) select '\\x01', id, now() - interval '1 year' from s`,
    `update social.refresh_tokens set used_at = now()`,
  ],
  'an external id that ends again': [
    `insert into social.ended_external_ids (hash, ended_at) values ('\\x01', now() - interval '31 days')`,
    `update social.ended_external_ids set ended_at = now()`,
  ],
  'a rate limit that counts on': [
    `insert into social.rate_limits (key, points, expire) values ('a', 1, 0)`,
    `update social.rate_limits set expire = 1000 * extract(epoch from now())::bigint + 60000`,
  ],
}

for (const [what, [old, change]] of Object.entries(revived))
  t.test(`${what} while retention looks at it is kept`, async (t) => {
    const { app, pool } = await setup(t)
    await pool.query(String(old))
    const table = /(?<=update )\S+/.exec(String(change))?.[0]
    const client = await pool.connect()
    t.teardown(() => client.release())
    await client.query('begin')
    await client.query(String(change))
    let isDone = false
    const purged = purge({ ...app, log }).then(() => {
      isDone = true
    })
    const waiting = `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
    await eventually(async () => isDone || (await pool.query(waiting)).rowCount === 1)
    await client.query('commit')
    await purged
    t.equal((await pool.query(`select from ${table}`)).rowCount, 1)
  })

t.test('old used refresh tokens of a living session are deleted, and the session stays valid', async (t) => {
  const { app, pool, as, url } = await setup(t)
  const ana = await as('ana')
  const first = await ana.request('POST', '/auth/refresh', { refreshToken: ana.refreshToken })
  const second = await ana.request('POST', '/auth/refresh', { refreshToken: first.body.refreshToken })
  await pool.query(
    `update social.refresh_tokens set used_at = used_at - interval '31 days' where used_at = (select min(used_at) from social.refresh_tokens)`,
  )
  await purge({ ...app, log })
  t.equal((await pool.query('select from social.refresh_tokens')).rowCount, 2)
  t.match(await call(url, 'POST', '/auth/refresh', { refreshToken: second.body.refreshToken }), { status: 200 })
})

t.test('a failing purge does not stop the others and is reported at the end', async (t) => {
  const { app, pool, as } = await setup(t)
  await as('ana')
  await pool.query(`update social.sessions set expires_at = now() - interval '1 second'`)
  await pool.query('alter table notify.sources rename to sources_away')
  await t.rejects(purge({ ...app, log }), { errors: [{ code: '42P01' }] })
  t.equal((await pool.query('select from social.sessions')).rowCount, 0)
})

t.test('expiry uses the clock of the database', async (t) => {
  const system = await setup(t, { worker: true })
  const { ana } = await liked(system, 1)
  await system.pool.query(`update notify.notifications set expires_at = now() - interval '1 second'`)
  mock.timers.enable({ apis: ['Date'], now: Date.now() - 3_600_000 })
  t.teardown(() => mock.timers.reset())
  await purge({ ...system.app, log })
  mock.timers.reset()
  t.same((await ana.get('/notifications')).items, [])
})

t.test('rows about unreached recipients and deleted external ids are kept for 30 days', async (t) => {
  const { app, pool } = await setup(t)
  await pool.query(
    `select notify.emit('system', '{404}', 'old', 'Hello'), notify.emit('system', '{404}', 'new', 'Hello')`,
  )
  await pool.query(`update notify.unreached set created_at = now() - interval '31 days' where source_id like '%old'`)
  await pool.query(
    `insert into social.ended_external_ids (hash, ended_at) values ('old', now() - interval '31 days'), ('new', now() - interval '29 days')`,
  )
  await purge({ ...app, log })
  t.match((await pool.query('select source_id from notify.unreached')).rows, [{ source_id: /new$/ }])
  t.same((await pool.query(`select encode(hash, 'escape') as hash from social.ended_external_ids`)).rows, [
    { hash: 'new' },
  ])
})
