import pg from 'pg'
import { type Test, test } from 'tap'
import { maintainPartitions } from '../../src/outbox/partitions.ts'
import { cloneDatabase, eventually, setup, startSystem } from '../setup.ts'
import { runStory } from './story.ts'

/** Signs in with another role's privileges and none of its own. */
function asRole(databaseUrl: string, role: string): string {
  const url = new URL(databaseUrl)
  url.searchParams.set('options', `-c role=${role}`)
  return url.href
}

async function poolOf(t: Test, databaseUrl: string, role: string): Promise<pg.Pool> {
  const pool = new pg.Pool({ connectionString: asRole(databaseUrl, role), max: 1 })
  t.teardown(() => pool.end())
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

  const owner = new pg.Pool({ connectionString: databaseUrl, max: 1 })
  t.teardown(() => owner.end())
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

test('ravenpost_app changes rows, and nothing else', async (t) => {
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
    'create or replace view ops.lag as select 1 as one',
    'create role mine',
    'select * from pg_authid',
    `copy social.users to program 'cat'`,
    `select pg_read_file('/etc/passwd')`,
  ])
    await t.rejects(app.query(statement), { code: /42501|42P16/ }, statement)
})

test('ravenpost_readonly reads what a DBA looks at, no hash and no token, and writes nothing', async (t) => {
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

test('what an older version let ravenpost_readonly read is taken back', async (t) => {
  const { databaseUrl, pool } = await setup(t)
  const reader = await poolOf(t, databaseUrl, 'ravenpost_readonly')
  await pool.query('grant select (endpoint) on notify.push_subscriptions to ravenpost_readonly')
  await reader.query('select endpoint from notify.push_subscriptions')
  await pool.query('select ops.grant_privileges()')
  await t.rejects(reader.query('select endpoint from notify.push_subscriptions'), { code: '42501' })
  await reader.query('select id from notify.push_subscriptions')
})

test('granting again changes nothing, and a user without the right to is left in peace', async (t) => {
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
