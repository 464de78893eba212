import pg from 'pg'
import { pino } from 'pino'
import { type Test, test } from 'tap'
import { readConfig } from '../../src/config.ts'
import { maintainPartitions } from '../../src/notify/outbox/partitions.ts'
import { openDatabase } from '../../src/open-database.ts'
import { checkRules, type Rule } from '../db/rules.ts'
import { cloneDatabase, eventually, setup, startSystem } from '../setup.ts'
import { runStory } from './story.ts'

/** Signs in as a role that has only the privileges of another one. */
function asRole(databaseUrl: string, role: string): string {
  const url = new URL(databaseUrl)
  url.searchParams.set('options', `-c role=${role}`)
  return url.href
}

function connect(t: Test, url: string): pg.Pool {
  const pool = new pg.Pool({ connectionString: url, max: 1 })
  // Dropping the database may cut a connection off that is still saying goodbye.
  pool.on('error', () => {})
  t.teardown(() => pool.end())
  return pool
}

async function poolOf(t: Test, databaseUrl: string, role: string): Promise<pg.Pool> {
  const pool = connect(t, asRole(databaseUrl, role))
  const { rows } = await pool.query(
    `select current_user as name, rolsuper as super from pg_roles where rolname = current_user`,
  )
  t.same(rows, [{ name: role, super: false }])
  return pool
}

test('api, worker and push node do all their work as ravenpost_app', async (t) => {
  const databaseUrl = await cloneDatabase(t)
  const system = await startSystem(t, asRole(databaseUrl, 'ravenpost_app'), { worker: true, push: true })
  const { rows } = await system.pool.query('select current_user as name')
  t.same(rows, [{ name: 'ravenpost_app' }])

  const owner = connect(t, databaseUrl)
  await owner.query(`select setval('notify.outbox_id_seq', (select min(to_id) from notify.outbox_partitions), false)`)
  await runStory(t, system)
  const partitions = async () =>
    (await owner.query<{ name: string }>('select name from notify.outbox_partitions order by from_id')).rows
  t.ok((await partitions()).length > 3, 'it made partitions of the log')
  await owner.query(
    `update notify.outbox_partitions set filled_at = now() - interval '8 days' where filled_at is not null`,
  )
  await eventually(async () => {
    await owner.query(`update notify.positions set moved_at = now() - interval '2 minutes'`)
    await maintainPartitions(system.pool, system.app.log, 7)
    return (await partitions())[0]?.name !== 'outbox_1'
  })
  t.equal((await owner.query(`select to_regclass('notify.outbox_1') as first`)).rows[0].first, null, 'and dropped one')
})

test('a role without ownership starts everything on a migrated database, and is refused on another', async (t) => {
  const databaseUrl = await cloneDatabase(t)
  const config = readConfig({ DATABASE_URL: asRole(databaseUrl, 'ravenpost_app'), JWT_SECRET: 'x'.repeat(32) })
  const open = () => openDatabase(config, 'all', pino({ level: 'silent' }), () => {})
  t.equal(await open(), config)
  const owner = connect(t, databaseUrl)
  await owner.query('delete from notify.migrations where name = (select max(name) from notify.migrations)')
  await t.rejects(open(), { message: /lacks the migrations .*: run npm run migrate first/ })
})

test('ravenpost_app can change rows and nothing else', async (t) => {
  const { databaseUrl } = await setup(t)
  const app = await poolOf(t, databaseUrl, 'ravenpost_app')
  for (const statement of [
    'create table social.mine ()',
    'create table public.mine ()',
    'create schema mine',
    'drop table social.users',
    'truncate social.likes',
    'alter table notify.inbox add column mine int',
    'create trigger mine before update on social.users for each row execute function suppress_redundant_updates_trigger()',
    `insert into notify.migrations (name, timestamp) values ('9999_mine', 'now')`,
    'delete from notify.migrations',
    `insert into notify.audit (actor) values ('user:1')`,
    'delete from notify.audit',
    'update notify.audit_chain set last_id = 0',
    'create or replace view ops.lag as select 1 as one',
    'create role mine',
    'select * from pg_authid',
    `copy social.users to program 'cat'`,
    `select pg_read_file('/etc/passwd')`,
  ])
    await t.rejects(app.query(statement), { code: /42501|42P16/ }, statement)
})

test('ravenpost_readonly reads what a DBA needs, no hashes or tokens, and writes nothing', async (t) => {
  const { databaseUrl, as } = await setup(t)
  await as('ana')
  const reader = await poolOf(t, databaseUrl, 'ravenpost_readonly')
  for (const { rows } of [
    await reader.query(
      `select c.oid::regclass::text as name from pg_class c where c.relkind = 'v' and c.relnamespace = 'ops'::regnamespace`,
    ),
  ])
    for (const { name } of rows) await reader.query(`select * from ${name} limit 1`)
  await reader.query('select * from notify.inbox, notify.positions, graphile_worker._private_jobs')
  t.match((await reader.query('select username, email from social.users')).rows, [{ username: 'ana' }])
  const denied = { code: '42501' }
  for (const statement of [
    'select password_hash from social.users',
    'select * from social.users',
    'select token_hash from social.refresh_tokens',
    'select predecessor from social.refresh_tokens',
    'select endpoint from notify.push_subscriptions',
    'select answer from social.idempotency_keys',
    `update social.users set role = 'admin'`,
    `insert into notify.outbox (action, counted, source_id) values ('send', true, 'mine')`,
    'delete from social.likes',
    `select nextval('notify.outbox_id_seq')`,
    'create table public.mine ()',
  ])
    await t.rejects(reader.query(statement), denied, statement)
})

test('a grant of a secret to ravenpost_readonly is revoked', async (t) => {
  const { databaseUrl, pool } = await setup(t)
  const reader = await poolOf(t, databaseUrl, 'ravenpost_readonly')
  await pool.query('grant select (endpoint) on notify.push_subscriptions to ravenpost_readonly')
  await reader.query('select endpoint from notify.push_subscriptions')
  await pool.query('select ops.grant_privileges()')
  await t.rejects(reader.query('select endpoint from notify.push_subscriptions'), { code: '42501' })
  await reader.query('select id from notify.push_subscriptions')
})

test('partitioned logs owned by ravenpost_app get another owner, including a half-detached partition', async (t) => {
  const { pool } = await setup(t)
  await pool.query(`alter table notify.outbox owner to ravenpost_app; alter table notify.outbox_1 owner to ravenpost_app;
    alter function notify.emit owner to current_user; grant create on schema notify to ravenpost_app`)
  const [reader, older] = [await pool.connect(), await pool.connect()]
  await reader.query('begin; lock table notify.outbox in access share mode')
  await older.query(`set lock_timeout = '100ms'`)
  await t.rejects(older.query('alter table notify.outbox detach partition notify.outbox_1 concurrently'), {
    code: '55P03',
  })
  await reader.query('rollback')
  for (const client of [reader, older]) client.release(true)
  const broken = async () =>
    (await pool.query(rules.map(({ violations }) => `(${violations})`).join(' union all '))).rows
  t.ok((await broken()).length >= 4)
  await pool.query('select ops.grant_privileges()')
  await pool.query(`select notify.drop_partition('outbox', 'outbox_1')`)
  t.same(await broken(), [])
})

test('repeated grants change nothing, and a user without privileges is not affected', async (t) => {
  const { databaseUrl, pool } = await setup(t)
  const granted = async () =>
    (await pool.query('select oid::regclass::text as name, relacl::text, relowner from pg_class order by 1')).rows
  const before = await granted()
  await pool.query('select ops.grant_privileges()')
  t.same(await granted(), before)
  const app = await poolOf(t, databaseUrl, 'ravenpost_app')
  await app.query('select ops.grant_privileges()')
  t.same(await granted(), before)
})

/** Roles that an attacker may have obtained. Not ravenpost_log, because nobody can use it (see the rules). */
const low = `(select oid from pg_roles where rolname like 'ravenpost\\_%' and rolname <> 'ravenpost_log')`
const mine = `('social', 'notify', 'ops', 'graphile_worker')`

const rules: Rule[] = [
  {
    name: 'a low role owns nothing, but ravenpost_readonly the function that runs queries of segments as it',
    violations: `select pg_describe_object(classid, objid, objsubid) as what from pg_shdepend
      where deptype = 'o' and refclassid = 'pg_authid'::regclass and refobjid in ${low}
        and dbid in (0, (select oid from pg_database where datname = current_database()))
        and not (refobjid = 'ravenpost_readonly'::regrole and classid = 'pg_proc'::regclass and objid = 'social.users_of_query'::regproc)`,
    broken: ['alter table notify.types owner to ravenpost_app', 'table notify.types'],
  },
  {
    name: 'a low role creates nothing in any schema, and no schema',
    violations: `select r.rolname || ' in ' || n.nspname as what from pg_roles r, pg_namespace n
      where r.oid in ${low} and not pg_is_other_temp_schema(n.oid) and n.oid <> pg_my_temp_schema() and has_schema_privilege(r.oid, n.oid, 'create')
      union all select r.rolname || ' in the database' from pg_roles r
      where r.oid in ${low} and has_database_privilege(r.oid, current_database(), 'create')`,
    broken: ['grant create on schema public to public', 'ravenpost_readonly in public'],
  },
  {
    name: 'a low role has rights on rows only, none to hang something on a table',
    violations: `select c.oid::regclass || ': ' || a.privilege_type as what from pg_class c, aclexplode(c.relacl) a
      where (a.grantee in ${low} or a.grantee = 0) and c.relnamespace::regnamespace::text in ${mine}
        and a.privilege_type not in ('SELECT', 'INSERT', 'UPDATE', 'DELETE', 'USAGE')`,
    broken: ['grant trigger on social.users to ravenpost_app', 'social.users: TRIGGER'],
  },
  {
    name: 'a low role is a member of no other role, but ravenpost_app of ravenpost_readonly, as which the console reads',
    violations: `select r.rolname || ' is ' || m.roleid::regrole as what from pg_auth_members m join pg_roles r on r.oid = m.member
      where r.oid in ${low} and not (r.rolname = 'ravenpost_app' and m.roleid = 'ravenpost_readonly'::regrole)`,
    broken: ['grant ravenpost_log to ravenpost_app', 'ravenpost_app is ravenpost_log'],
  },
  {
    name: 'none of our roles is anything by itself',
    violations: `select rolname as what from pg_roles
      where rolname like 'ravenpost\\_%' and (rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls)`,
    broken: ['alter role ravenpost_emitter createrole', 'ravenpost_emitter'],
  },
  {
    name: 'a security definer function runs as ravenpost_log, queries of segments as ravenpost_readonly, and looks for names in pg_catalog only',
    violations: `select p.oid::regproc::text as what from pg_proc p
      where p.prosecdef and p.pronamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
        and not (p.proowner = case when p.oid = 'social.users_of_query'::regproc then 'ravenpost_readonly' else 'ravenpost_log' end::regrole and 'search_path=pg_catalog, pg_temp' = any(coalesce(p.proconfig, '{}')))`,
    broken: ['alter function notify.emit set search_path = notify', 'notify.emit'],
  },
  {
    name: 'ravenpost_log owns the logs and the functions that run as it, and nothing else',
    violations: `select pg_describe_object(classid, objid, objsubid) as what from pg_shdepend
      where deptype = 'o' and refclassid = 'pg_authid'::regclass and refobjid = 'ravenpost_log'::regrole
        and dbid in (0, (select oid from pg_database where datname = current_database()))
        and not (classid = 'pg_class'::regclass and objid in (select relid from pg_partition_tree('notify.outbox') union select relid from pg_partition_tree('notify.delivery_log')
          union select relid from pg_partition_tree('notify.audit') union select 'notify.audit_chain'::regclass))
        and not (classid = 'pg_proc'::regclass and objid in (select oid from pg_proc where prosecdef))`,
    broken: ['alter table social.users owner to ravenpost_log', 'table social.users'],
  },
]

test('only the intended roles own objects, create objects, and run functions', async (t) => {
  const { pool } = await setup(t)
  await checkRules(t, pool, rules)
})

/** Statements that put code where others run it, one list per session: each needs `traps` in that session. */
const attempts = `
  select format(s.statement, c.oid::regclass) as statement from pg_class c, (values
    ('create trigger trap before insert on %s for each statement execute function pg_temp.trap()'),
    ('create rule trap as on update to %s do also select pg_temp.trapped()'),
    ('create policy trap on %s using (pg_temp.trapped())'),
    ('alter table %s add column trap boolean default pg_temp.trapped()'),
    ('alter table %s enable row level security')) s (statement)
  where c.relkind in ('r', 'p', 'v', 'm') and c.relnamespace::regnamespace::text in ${mine}
  union all
  select s.statement from pg_proc p, lateral (values
    (pg_get_functiondef(p.oid)), (format('alter function %s set search_path = pg_temp', p.oid::regprocedure))) s (statement)
  where p.prokind = 'f' and p.pronamespace::regnamespace::text in ${mine}
  union all
  select format(s.statement, n.nspname) from pg_namespace n, (values
    ('create function %I.emit(text) returns boolean language sql return pg_temp.trapped()'),
    ('create table %I.trap ()'), ('create view %I.trap as select pg_temp.trapped()'), ('create domain %I.trap as text'),
    ('create operator %I.= (function = pg_temp.trapped, leftarg = text, rightarg = integer)')) s (statement)
  where n.nspname in ${mine} or n.nspname in ('public', 'pg_catalog')
  union all
  values ('create schema trap'), ('alter default privileges for role ravenpost_log grant all on tables to public')`

/** What runs in these raises a notice with the name of the role it runs as. */
const traps = `
  create function pg_temp.trapped() returns boolean language plpgsql as $$ begin raise notice 'trap ran as %', current_user; return true; end $$;
  create function pg_temp.trapped(text, integer) returns boolean language sql return pg_temp.trapped();
  create function pg_temp.trap() returns trigger language plpgsql as $$ begin perform pg_temp.trapped(); return new; end $$;`

test('no object that a role owns or can create runs with the rights of a higher role', async (t) => {
  const databaseUrl = await cloneDatabase(t)
  const ran: string[] = []
  const signIn = async (role?: string) => {
    const client = new pg.Client({ connectionString: role ? asRole(databaseUrl, role) : databaseUrl })
    client.on('notice', ({ message = '' }) => void (/trap ran as/.test(message) && ran.push(message)))
    client.on('error', () => {})
    await client.connect()
    t.teardown(() => client.end())
    await client.query(traps)
    return client
  }
  const owner = await signIn()
  const nobody = `nobody_${process.pid}`
  await owner.query(`create role ${nobody}`)
  t.teardown(async () => {
    const admin = new pg.Client({ connectionString: databaseUrl })
    await admin.connect()
    await admin.query(`drop role ${nobody}`)
    await admin.end()
  })
  const all = (await owner.query<{ statement: string }>(attempts)).rows.map((row) => row.statement)
  const possible: string[] = []
  for (const statement of all) if (await isPossible(owner, statement)) possible.push(statement)
  ran.length = 0
  for (const part of ['create trigger', 'create rule', 'create policy', 'create view', 'create operator', 'CREATE OR'])
    t.ok(
      possible.some((statement) => statement.startsWith(part)),
      `the owner may ${part}`,
    )

  const { rows: roles } = await owner.query<{ name: string }>(
    `select rolname as name from pg_roles where oid in ${low} or rolname = $1`,
    [nobody],
  )
  t.ok(roles.length >= 5)
  const done: string[] = []
  for (const { name } of roles) {
    const client = await signIn(name)
    for (const statement of possible)
      await client.query(statement).then(
        () => void done.push(`${name}: ${statement}`),
        (error) => void (error.code === '42501' || done.push(`${name}: ${statement}: ${error.message}`)),
      )
    await shadowEverything(client)
    await callDoors(t, client)
  }
  // That function runs as ravenpost_readonly, even with other settings; ravenpost_app is a member of this role.
  const own = 'alter function social.users_of_query(text) set search_path = pg_temp'
  t.same(done.sort(), [`ravenpost_app: ${own}`, `ravenpost_readonly: ${own}`], 'each other one is refused')

  await callDoors(t, owner)
  const { rows: views } = await owner.query<{ name: string }>(
    `select oid::regclass::text as name from pg_class where relkind = 'v' and relnamespace = 'ops'::regnamespace`,
  )
  for (const { name } of views) await owner.query(`select * from ${name}`)
  t.same(ran, [], 'and nothing of theirs ran')
})

/** Whether a role with all rights may do this. If so, others are refused because they lack rights. */
async function isPossible(owner: pg.Client, statement: string): Promise<boolean> {
  await owner.query('begin')
  try {
    await owner.query(statement)
    return true
  } catch {
    return false
  } finally {
    await owner.query('rollback')
  }
}

/** Every role may have a schema of temporary objects. */
async function shadowEverything(client: pg.Client): Promise<void> {
  await client.query(`do $$
    declare name text;
    begin
      foreach name in array array['outbox', 'types', 'installation', 'inbox', 'unreached', 'users', 'outbox_partitions', 'delivery_log', 'pg_class', 'pg_inherits'] loop
        execute format('create temp table %I (id bigint)', name);
        execute format('create trigger trap before insert on pg_temp.%I for each statement execute function pg_temp.trap()', name);
      end loop;
    end $$;
    create function pg_temp.append_send(text) returns boolean language sql return pg_temp.trapped();
    create function pg_temp.length(text) returns integer language sql return pg_temp.trapped()::int;
    create function pg_temp.format(text, text, text) returns text language sql return pg_temp.trapped()::text;
    create operator pg_temp.= (function = pg_temp.trapped, leftarg = text, rightarg = integer);
    set search_path = pg_temp, pg_catalog`)
}

const doors: Record<string, string> = {
  'notify.emit': `select notify.emit('order.shipped', '{1}', 'order:1', title => 'Shipped')`,
  'notify.retract': `select notify.retract('{1}', 'order:1')`,
  'notify.users_of': `select notify.users_of('{ana}')`,
  'social.users_of_query': `select social.users_of_query('select id from social.users')`,
  'notify.write_audit': `select notify.write_audit('user:1', 'door.call', 'door:1')`,
  'notify.expire_audit': 'select notify.expire_audit(24)',
  'notify.attach_partition': `select notify.attach_partition('delivery_log', 'delivery_log_20990101', '2099-01-01', '2099-01-02')`,
  'notify.drop_partition': `select notify.drop_partition('delivery_log', 'delivery_log_20990101')`,
}

/** Calls every function that runs as its owner (security definer) and that this role may call. */
async function callDoors(t: Test, client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    `select n.nspname || '.' || p.proname as name from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
     where p.prosecdef and pg_catalog.has_function_privilege(p.oid, 'execute') and pg_catalog.has_schema_privilege(n.oid, 'usage') order by 1`,
  )
  for (const { name } of rows)
    if (doors[name]) await client.query(doors[name])
    else t.fail(`${name} runs as its owner: this test has to call it`)
}
