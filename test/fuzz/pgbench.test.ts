import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import fc from 'fast-check'
import type pg from 'pg'
import { test } from 'tap'
import { noDrift, settled } from '../settled.ts'
import { setup } from '../setup.ts'
import { sized } from '../size.ts'
import { argumentOf, isOurs, refusals } from './sql-arguments.ts'

/** On the path with Debian's postgresql-common, otherwise only in the server's folder. */
const pgbench = ['pgbench', '/usr/lib/postgresql/15/bin/pgbench'].find(
  (program) => spawnSync(program, ['--version']).status === 0,
)

/** A few seconds in every run of the tests; by hand `FUZZ_SECONDS=60 npm test -- test/fuzz/pgbench.test.ts`. */
const SECONDS = Number(process.env.FUZZ_SECONDS ?? sized(3, 1))
const SAMPLES_PER_TYPE = 60

/**
 * Values by parameter name, so that the functions accept many calls. One value in ten only fits the type; one in twenty
 * is null.
 */
const fitting: Record<string, string[]> = {
  type: ['system', 'order.shipped'],
  recipients: ['{1}', '{1,2,3}', '{2,3,999999}'],
  source_id: ['a', 'b', 'c', 'd', 'e', 'f'],
  title: ['Hello', '{{7*7}}'],
  body: ['Hello', 'x'],
  url: ['/a', 'https://example.org/a'],
  actor_id: ['1', '2'],
  object_type: ['order'],
  object_id: ['1'],
  group_key: ['g', 'h'],
  data: ['{}', '{"a": [1]}'],
  priority: ['critical', 'high', 'normal', 'low'],
  severity: ['info', 'error'],
  expires_at: ['2200-01-01'],
  consumer: ['notifications'],
  since: ['yesterday', 'now'],
}

/** Scripts with their weights. What only we or a DBA may call is tried and rolled back; events that the SQL API accepts are dispatched. */
const scripts: Record<string, [weight: number, ...lines: string[]]> = {
  'doors.sql': [20, `select fuzz.call('{notify.emit,notify.retract}');`],
  'replay.sql': [1, `select fuzz.call('{notify.replay,notify.replay_dead_letter}');`],
  'any.sql': [10, 'begin;', 'select fuzz.call(array(select name from fuzz.functions));', 'rollback;'],
}

test('SQL functions on four concurrent connections refuse or succeed, and their notifications arrive', {
  skip: !pgbench && 'needs pgbench',
}, async (t) => {
  const system = await setup(t, { worker: true, windowSeconds: 0 })
  const { pool, databaseUrl } = system
  for (const name of ['ana', 'ben', 'cem']) await system.as(name)
  await prepare(pool)
  const texts = Object.entries(scripts).map(([name, [, ...lines]]) => [name, [SEED, ...lines].join('\n')])
  const dir = t.testdir(Object.fromEntries(texts))
  const files = Object.entries(scripts).flatMap(([name, [weight]]) => ['-f', `${dir}/${name}@${weight}`])
  const child = spawn(pgbench ?? '', ['-n', '-c', '4', '-T', `${SECONDS}`, ...files, databaseUrl])
  const [[status], said, failures] = await Promise.all([once(child, 'close'), text(child.stdout), text(child.stderr)])
  t.equal(status, 0, failures)
  t.comment(said.split('\n').filter((line) => /actually processed|^ - \d+ transactions/.test(line)))

  const { rows } = await pool.query(
    `select count(*) filter (where not retracts)::int as appended, count(*) filter (where retracts)::int as retracted from notify.outbox`,
  )
  t.comment(rows[0])
  t.ok(rows[0].appended > 0 && rows[0].retracted > 0, 'the doors accepted some')
  await settled(system, 30 + 10 * SECONDS)
  t.same((await pool.query('select * from ops.dead_letters')).rows, [], 'and all of it could be dispatched')
  await noDrift(t, system)
})

/** pgbench --random-seed repeats the same calls. */
const SEED = '\\set seed random(0, 1000000)\nselect setseed(:seed / 1000000.0);'

async function prepare(pool: pg.Pool): Promise<void> {
  await pool.query(`
    create schema fuzz;
    create table fuzz.arguments (type text, name text, value text);
    create view fuzz.functions as select p.oid::regproc::text as name from pg_proc p where ${isOurs};
    create function fuzz.argument(wanted_type text, wanted_name text) returns text language sql volatile as $$
      select case when random() < 0.95 then value end from fuzz.arguments a
      where a.type = wanted_type and (a.name = wanted_name or a.name is null)
      order by (a.name is null) = (select random() < 0.1) desc, random() limit 1 $$;
    create function fuzz.call(functions text[]) returns void language plpgsql as $$
    declare
      chosen regproc := functions[1 + floor(random() * cardinality(functions))];
      cut float := random();
      statement text;
    begin
      select format('select count(*) from %s(%s)', chosen, string_agg(format('%L::%s', fuzz.argument(f.type, f.name), f.type), ', ' order by f.n))
      into statement
      from (
        select a.n, format_type(a.type, null) as type, p.proargnames[a.n] as name
        from pg_proc p, unnest(p.proargtypes::oid[]) with ordinality a (type, n)
        where p.oid = chosen and a.n <= p.pronargs - floor(cut * (p.pronargdefaults + 1))) f;
      execute statement;
    exception when others then
      if sqlstate !~ '${refusals.source}' then
        raise exception '% answers % %', statement, sqlstate, sqlerrm;
      end if;
    end $$`)
  const { rows: types } = await pool.query<{ type: string; names: string[] }>(
    `select format_type(a.type, null) as type, array_agg(distinct p.proargnames[a.n]) as names
     from pg_proc p, unnest(p.proargtypes::oid[]) with ordinality a (type, n) where ${isOurs} group by 1`,
  )
  const values = types.flatMap(({ type, names }) => [
    ...fc.sample(argumentOf(type), SAMPLES_PER_TYPE).map((value) => [type, null, storable(value)]),
    ...names.flatMap((name) => (fitting[name] ?? []).map((value) => [type, name, value])),
  ])
  await pool.query(
    'insert into fuzz.arguments select * from unnest($1::text[], $2::text[], $3::text[])',
    [0, 1, 2].map((column) => values.map((row) => row[column])),
  )
}

/** No text of PostgreSQL holds U+0000 or a lone surrogate. */
function storable(value: unknown): string {
  return String(value).replaceAll('\0', '').replaceAll('\\u0000', '').toWellFormed()
}
