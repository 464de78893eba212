import pg from 'pg'
import { type Test, test } from 'tap'
import { dispatch, inboxApp, makeUsers } from '../notify/dispatch/events.ts'
import { cloneDatabase } from '../setup.ts'

/** A connection of a role that has only the privileges of another one, as with SET ROLE after signing in. */
async function connectAs(t: Test, databaseUrl: string, role: string): Promise<pg.Client> {
  const url = new URL(databaseUrl)
  url.searchParams.set('options', `-c role=${role}`)
  const client = new pg.Client({ connectionString: url.href })
  await client.connect()
  t.teardown(() => client.end())
  return client
}

/** A fresh database, its owner, and inboxes for users 1 and 2. */
async function withInboxes(t: Test) {
  const databaseUrl = await cloneDatabase(t)
  const owner = new pg.Client({ connectionString: databaseUrl })
  await owner.connect()
  t.teardown(() => owner.end())
  await owner.query('insert into notify.inbox (user_id) values (1), (2)')
  return { databaseUrl, owner }
}

const emit = `select notify.emit('order.shipped', $1::bigint[], $2, title => 'Shipped') as n`

test('ravenpost_emitter can notify and retract, and nothing else', async (t) => {
  const { databaseUrl } = await withInboxes(t)
  const emitter = await connectAs(t, databaseUrl, 'ravenpost_emitter')
  t.match((await emitter.query(emit, [[1, 2], 'order:1'])).rows, [{ n: '2' }])
  t.match((await emitter.query(`select notify.retract('{1}', 'order:1') as n`)).rows, [{ n: '1' }])
  const { rows: found } = await emitter.query<{ name: string; callable: boolean }>(
    `select p.oid::regprocedure::text as name, has_function_privilege(p.oid, 'execute') and has_schema_privilege(n.oid, 'usage') as callable
     from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname in ('social', 'notify', 'ops', 'graphile_worker') order by 1`,
  )
  const callable = found.filter((row) => row.callable).map((row) => row.name.replace(/\(.*/, ''))
  t.same(callable, ['notify.emit', 'notify.retract', 'notify.users_of'])
  const { rows: open } = await emitter.query(
    `select c.oid::regclass::text as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where n.nspname in ('social', 'notify', 'ops', 'graphile_worker') and c.relkind in ('r', 'p', 'v', 'm')
       and (has_table_privilege(c.oid, 'select, insert, update, delete, truncate') or has_any_column_privilege(c.oid, 'select, insert, update'))`,
  )
  t.same(open, [], 'no table is open to it')
  for (const statement of [
    'select * from notify.outbox',
    `insert into notify.outbox (action, counted, source_id) values ('like', true, 'like:1:1')`,
    `select nextval('notify.outbox_id_seq')`,
    `select notify.replay('notifications', now())`,
    `select notify.append_send('like:1:1', '{1}', 'system', 'x', null, null, null, null, null, null, '{}', 'normal', 'info', null, null)`,
    'create table notify.mine ()',
    'create temp view v as select * from social.users',
    `select notify.emit('system', '{1}', 's', 'now', priority => 'critical')`,
  ])
    await t.rejects(emitter.query(statement), { code: '42501' }, statement)
})

test('other roles cannot notify, and only ravenpost_critical can send critical notifications', async (t) => {
  const { databaseUrl, owner } = await withInboxes(t)
  const reader = await connectAs(t, databaseUrl, 'ravenpost_readonly')
  await t.rejects(reader.query(emit, [[1], 'x']), { code: '42501' })
  const critical = await connectAs(t, databaseUrl, 'ravenpost_critical')
  await critical.query(`select notify.emit('system', '{1}', 's', 'Now', priority => 'critical')`)
  t.match((await owner.query('select critical, counted, source_id from notify.outbox')).rows, [
    { critical: true, counted: false, source_id: 'sql:ravenpost_critical:s' },
  ])
})

test('a hostile search_path does not change the SQL functions', async (t) => {
  const { databaseUrl, owner } = await withInboxes(t)
  await owner.query(
    `grant create, temporary on database ${owner.escapeIdentifier(owner.database ?? '')} to ravenpost_emitter`,
  )
  const emitter = await connectAs(t, databaseUrl, 'ravenpost_emitter')
  await emitter.query(`create schema trap; set search_path = trap, pg_catalog;
    create function trap.length(text) returns int language plpgsql as $$ begin raise exception 'trapped as %', current_user; end $$;
    create function trap.quote_ident(text) returns text language sql as $$ select 'ravenpost_critical' $$;
    create temp table outbox ()`)
  await emitter.query(emit, [[1], 'x'])
  t.match((await owner.query('select source_id from notify.outbox')).rows, [{ source_id: 'sql:ravenpost_emitter:x' }])
})

test('arguments out of bounds are refused, and nothing is written', async (t) => {
  const { pool } = await inboxApp(t)
  const wrong: [string, string][] = [
    ...['post.liked', 'comment.created', 'comment.replied', 'user.mentioned', 'user.followed', 'post.published'].map(
      (type): [string, string] => [`type => '${type}'`, 'belongs to social actions'],
    ),
    [`type => 'nodot'`, 'type must be'],
    [`type => 'post.liked:1'`, 'type must be'],
    [`recipients => null`, 'recipients must be'],
    [`recipients => '{1,null}'`, 'recipients must be'],
    [`recipients => array(select generate_series(1, 10001))`, 'at most 10000'],
    [`source_id => null`, 'source_id must'],
    [`source_id => repeat('x', 151)`, 'source_id must'],
    [`title => repeat('x', 201)`, 'title must'],
    [`title => null`, 'title is missing'],
    [`body => repeat('x', 2001)`, 'body must'],
    [`url => 'javascript:alert(1)'`, 'url must'],
    [`url => ' javascript:alert(1)'`, 'url must'],
    [`url => '//evil.example'`, 'url must'],
    [`url => '/\\evil.example'`, 'url must'],
    [`url => 'data:text/html,x'`, 'url must'],
    [`data => '[]'`, 'data must'],
    [`data => jsonb_build_object('a', repeat('x', 8192))`, 'data must'],
    [`priority => 'urgent'`, 'priority must'],
    [`priority => null`, 'priority and severity'],
    [`severity => 'fatal'`, 'severity must'],
    [`group_key => ''`, 'group_key'],
    [`expires_at => now()`, 'expires_at must'],
    [`expires_at => 'infinity'`, 'expires_at must'],
  ]
  const call = (change: string) => {
    const values = new Map([
      ['type', `'system'`],
      ['recipients', `'{1}'`],
      ['source_id', `'s'`],
      ['title', `'t'`],
    ])
    const [name = '', value = ''] = change.split(' => ')
    if (name) values.set(name, value)
    return `select notify.emit(${[...values].map(([key, given]) => `${key} => ${given}`).join(', ')})`
  }
  for (const [change, message] of wrong)
    await t.rejects(pool.query(call(change)), { code: '22023', message: new RegExp(message) }, change)
  await t.rejects(pool.query(`select notify.retract(array(select generate_series(1, 10001)), 's')`), { code: '22023' })
  t.same((await pool.query('select * from notify.outbox')).rows, [])
  await pool.query('insert into notify.inbox (user_id) select generate_series(1, 10000)')
  for (const url of ['https://example.org/a?b#c', '/orders/7', 'orders/7', '?page=2', '#top'])
    await pool.query(call(`url => '${url}'`))
  await pool.query(call(`data => jsonb_build_object('a', repeat('x', 8000))`))
  await pool.query(call(`title => repeat('é', 200)`))
  t.match(
    (await pool.query(`select notify.emit('system', array(select generate_series(1, 10000)), 'many', 't') as n`)).rows,
    [{ n: '10000' }],
  )
})

test('recipients without an inbox are not counted, and ops.unreached and why_not list them', async (t) => {
  const app = await inboxApp(t)
  const [ana = ''] = await makeUsers(app, ['ana'])
  const emitter = await connectAs(t, app.config.databaseUrl, 'ravenpost_emitter')
  const call = async (text: string, values: unknown[]) => (await emitter.query(text, values)).rows[0]?.n
  t.equal(await call(emit, [[ana, ana, 404, 405], 'order:1']), '1')
  t.equal(await call(emit, [[404], 'order:1']), '0', 'again')
  t.equal(await call(`select notify.retract($1::bigint[], 'order:2') as n`, [[ana, 404]]), '1')
  await emitter.query('begin')
  t.equal(await call(emit, [[404], 'rolled back']), '0')
  await emitter.query('rollback')
  const { rows } = await app.pool.query(
    'select recipient_id, source_id, retracts, type from ops.unreached order by source_id, recipient_id',
  )
  const source_id = 'sql:ravenpost_emitter:order:1'
  t.same(rows, [
    { recipient_id: '404', source_id, retracts: false, type: 'order.shipped' },
    { recipient_id: '405', source_id, retracts: false, type: 'order.shipped' },
    { recipient_id: '404', source_id: 'sql:ravenpost_emitter:order:2', retracts: true, type: 'system' },
  ])
  const whyNot = async (userId: string, source: string) =>
    (await app.pool.query('select step, result, reason, source from notify.why_not($1, $2)', [userId, source])).rows
  for (const named of ['order:1', source_id])
    t.match(await whyNot('404', named), [
      { step: 'inbox' },
      { source: source_id, step: 'event', reason: /had no inbox at the time of the send/ },
    ])
  t.match(await whyNot(ana, 'order:1'), [
    { step: 'event' },
    { step: 'dispatch', result: 'waits', reason: /has not read/ },
  ])
  t.match(await whyNot('406', 'order:1'), [{ reason: /does not exist/ }, { reason: /no event of this source/ }])
  await dispatch(app)
  t.match(await whyNot(ana, 'order:1'), [
    { step: 'event' },
    { source: source_id, step: 'decision', result: 'ok' },
    {},
    {},
  ])
  t.same(
    await whyNot(ana, 'der:1'),
    await whyNot(ana, 'nothing').then((all) => all.map((row) => ({ ...row, source: 'der:1' }))),
  )
})

test('why_not names the rule that filtered a source, and shows pending retries', async (t) => {
  const app = await inboxApp(t)
  const [ana = '', ben = ''] = await makeUsers(app, ['ana', 'ben'])
  await app.pool.query('insert into social.blocks (user_id, other_id) values ($1, $2)', [ana, ben])
  await app.pool.query(`select notify.emit('system', array[$1::bigint], 's', 'Hello', actor_id => $2)`, [ana, ben])
  await dispatch(app)
  const whyNot = async (source: string) =>
    (await app.pool.query('select step, result, reason from notify.why_not($1, $2)', [ana, source])).rows
  t.match(await whyNot('s'), [
    { step: 'event' },
    { step: 'decision', result: 'stops', reason: 'one of the two blocks the other' },
  ])
  for (const [source, dead] of Object.entries({ waits: null, failed: new Date() }))
    await app.pool.query(
      `insert into notify.pending (consumer, event_id, recipient_id, event, last_error, dead_at)
       select 'notifications', coalesce(max(event_id), 0) + 1, $1, jsonb_build_object('sourceId', 'send:token:7:' || $2), 'out of order', $3
       from notify.pending`,
      [ana, source, dead],
    )
  t.match(await whyNot('waits'), [{ step: 'dispatch', result: 'waits', reason: /out of order/ }])
  t.match(await whyNot('failed'), [{ step: 'dispatch', result: 'stops', reason: /out of order/ }])
})

test('why_not knows what the critical lane has read, whatever the shards', async (t) => {
  const app = await inboxApp(t)
  const names = Array.from({ length: 8 }, (_, i) => `user_${i}`)
  const { rows: users } = await app.pool.query<{ id: string }>(
    'select id from unnest($1::bigint[]) id order by notify.shard_of(id) desc',
    [await makeUsers(app, names)],
  )
  const [first, last] = [users[0]?.id, users.at(-1)?.id]
  for (const id of [first, last])
    await app.pool.query(
      `select notify.emit('security.alert', array[$1::bigint], 'alert', 'New sign-in', priority => 'critical')`,
      [id],
    )
  const { rowCount } = await app.pool.query(
    `update notify.positions p set target = pg_current_snapshot(), after_shard = e.shard, after_xid = e.xid, after_id = e.id
     from notify.outbox e where p.consumer = 'notifications' and p.critical and e.critical and e.recipient_id = $1`,
    [first],
  )
  t.equal(rowCount, 1, 'the lane has read the event of the highest shard')
  const whyNot = async (id: string | undefined) =>
    (await app.pool.query('select step, result from notify.why_not($1, $2)', [id, 'alert'])).rows
  t.same(await whyNot(first), [{ step: 'event', result: 'ok' }])
  t.same(await whyNot(last), [
    { step: 'event', result: 'ok' },
    { step: 'dispatch', result: 'waits' },
  ])
})

test('users_of returns ids in the order of the external ids, and omits unknown ones', async (t) => {
  const app = await inboxApp(t)
  const [ana = '', ben = ''] = await makeUsers(app, ['ana', 'ben'])
  await app.pool.query(
    'update social.users set external_id = w.e from unnest($1::bigint[], $2::text[]) w (id, e) where users.id = w.id',
    [
      [ana, ben],
      ['auth0|a', 'ü/b'],
    ],
  )
  const emitter = await connectAs(t, app.config.databaseUrl, 'ravenpost_emitter')
  const usersOf = async (externalIds: string[] | null) =>
    (await emitter.query('select notify.users_of($1)::text[] as ids', [externalIds])).rows[0]?.ids
  t.same(await usersOf(['ü/b', 'nobody', 'auth0|a']), [ben, ana])
  t.same(await usersOf(['nobody']), [])
  t.same(await usersOf(null), [])
  const { rows } = await emitter.query(
    `select notify.emit('order.shipped', notify.users_of(array['auth0|a', 'nobody']), 'order:1', 'Shipped') as n`,
  )
  t.equal(rows[0]?.n, '1')
})

test('the SQL functions have the signatures of the contract', async (t) => {
  const { owner } = await withInboxes(t)
  const { rows } = await owner.query(
    `select proname as name, pg_get_function_arguments(oid) as arguments, pg_get_function_result(oid) as result, prosecdef as definer
     from pg_proc where oid = any('{notify.emit,notify.retract,notify.users_of}'::regproc[]) order by 1`,
  )
  const emit = `type text, recipients bigint[], source_id text, title text DEFAULT NULL::text, body text DEFAULT NULL::text,
    url text DEFAULT NULL::text, actor_id bigint DEFAULT NULL::bigint, object_type text DEFAULT NULL::text,
    object_id text DEFAULT NULL::text, group_key text DEFAULT NULL::text, data jsonb DEFAULT '{}'::jsonb,
    priority text DEFAULT 'normal'::text, severity text DEFAULT 'info'::text,
    expires_at timestamp with time zone DEFAULT NULL::timestamp with time zone`
  t.same(rows, [
    { name: 'emit', arguments: emit.replace(/\s+/g, ' '), result: 'bigint', definer: true },
    { name: 'retract', arguments: 'recipients bigint[], source_id text', result: 'bigint', definer: true },
    { name: 'users_of', arguments: 'external_ids text[]', result: 'bigint[]', definer: true },
  ])
  const { rows: others } = await owner.query(
    `select proname as name, proargnames[1:pronargs] as arguments from pg_proc
     where oid = any('{notify.explain,notify.replay,notify.replay_dead_letter,notify.timeline,notify.why,notify.why_not}'::regproc[])
     order by 1`,
  )
  t.same(others, [
    { name: 'explain', arguments: ['user_id', 'type', 'channel', 'at', 'recent'] },
    { name: 'replay', arguments: ['consumer', 'since'] },
    { name: 'replay_dead_letter', arguments: ['id'] },
    { name: 'timeline', arguments: ['user_id'] },
    { name: 'why', arguments: ['user_id', 'notification_id'] },
    { name: 'why_not', arguments: ['user_id', 'source_id'] },
  ])
})

test('no SQL or HTTP interface can forge or retract sources of another one', async (t) => {
  const app = await inboxApp(t)
  const [ana = '', ben = ''] = await makeUsers(app, ['ana', 'ben'])
  const databaseUrl = app.config.databaseUrl
  const titles = async () => {
    await dispatch(app)
    const { rows } = await app.pool.query<{ title: string }>(
      'select coalesce(title, type) as title from notify.notifications where user_id = $1 order by id',
      [ana],
    )
    return rows.map((row) => row.title)
  }
  await app.pool.query(
    `insert into notify.outbox (counted, action, source_id, type, recipient_id, actor_id, object_type, object_id, group_key, data)
     values (true, 'follow', 'follow:2:1', 'user.followed', $1, $2, 'user', '1', 'user.followed:1', '{"followeeId": "1"}')`,
    [ana, ben],
  )
  await app.pool.query(
    `select notify.append_send('send:user:1:s', array[$1::bigint], 'system', 'By API', null, null, null, null, null, null, '{}', null, null, null, null)`,
    [ana],
  )
  const emitter = await connectAs(t, databaseUrl, 'ravenpost_emitter')
  const critical = await connectAs(t, databaseUrl, 'ravenpost_critical')
  const say = `select notify.emit('system', array[$1::bigint], $2, $3)`
  const sources = ['follow:2:1', 'send:user:1:s', 's', 'sql:ravenpost_critical:s', '../s']
  await critical.query(say, [ana, 's', 'By critical'])
  t.same(await titles(), ['user.followed', 'By API', 'By critical'])
  for (const source of sources) await emitter.query(`select notify.retract(array[$1::bigint], $2)`, [ana, source])
  t.same(await titles(), ['user.followed', 'By API', 'By critical'], 'nothing of the others was retracted')
  await emitter.query(say, [ana, 'mine', 'Mine'])
  await emitter.query(say, [ana, 'mine', 'Mine again'])
  t.same(await titles(), ['user.followed', 'By API', 'By critical', 'Mine'], 'one source notifies once')
  await emitter.query(`select notify.retract(array[$1::bigint], 'mine')`, [ana])
  t.same(await titles(), ['user.followed', 'By API', 'By critical'], 'its own it may')
  await emitter.query(
    `select notify.emit('system', array[$1::bigint], 'grouped', 'In a group', group_key => 'user.followed:1')`,
    [ana],
  )
  t.same(await titles(), ['user.followed', 'By API', 'By critical', 'In a group'], 'nor can it join a social group')
  const { rows: senders } = await app.pool.query(
    'select door, sender, type, events::int from ops.senders order by 1, 2, 3',
  )
  t.same(senders, [
    { door: 'api', sender: 'user:1', type: 'system', events: 1 },
    { door: 'follow', sender: null, type: 'user.followed', events: 1 },
    { door: 'sql', sender: 'ravenpost_critical', type: 'system', events: 1 },
    { door: 'sql', sender: 'ravenpost_emitter', type: 'system', events: 9 },
  ])
})
