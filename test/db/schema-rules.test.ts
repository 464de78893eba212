import t from 'tap'
import { setup } from '../setup.ts'
import { checkRules, type Rule } from './rules.ts'

const ours = `(select oid from pg_namespace where nspname in ('social', 'notify', 'ops'))`

/** The tables keyed by user, which past one machine are distributed by user_id. */
const perUser = `(select a.attrelid from pg_attribute a join pg_class c on c.oid = a.attrelid
  where c.relkind in ('r', 'p') and c.relnamespace = 'notify'::regnamespace and a.attname = 'user_id' and not a.attisdropped)`

/** The columns of an index by name and in order, expressions by their text. */
const keysOf = (index: string) =>
  `array(select pg_get_indexdef(${index}.indexrelid, k, true) from generate_series(1, ${index}.indnkeyatts) k order by k)`

const rules: Rule[] = [
  {
    name: 'every schema has a comment',
    violations: `select nspname as what from pg_namespace
      where oid in ${ours} and obj_description(oid, 'pg_namespace') is null`,
    broken: ['comment on schema ops is null', 'ops'],
  },
  {
    name: 'every table, view and sequence of its own has a comment',
    violations: `select c.oid::regclass::text as what from pg_class c
      where c.relnamespace in ${ours} and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') and not c.relispartition
        and obj_description(c.oid, 'pg_class') is null
        and not (c.relkind = 'S' and exists (select from pg_depend d where d.objid = c.oid and d.deptype in ('a', 'i')))`,
    broken: ['create view ops.silent as select 1 as one', 'ops.silent'],
  },
  {
    name: 'every column of a table or view has a comment',
    violations: `select c.oid::regclass || '.' || a.attname as what from pg_class c
      join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
      where c.relnamespace in ${ours} and c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition
        and col_description(c.oid, a.attnum) is null`,
    broken: ['alter table social.likes add column silent text', 'social.likes.silent'],
  },
  {
    name: 'every function has a comment',
    violations: `select p.oid::regprocedure::text as what from pg_proc p
      where p.pronamespace in ${ours} and obj_description(p.oid, 'pg_proc') is null`,
    broken: ['create function ops.silent() returns int language sql return 1', 'ops.silent()'],
  },
  {
    name: 'every domain and enum has a comment',
    violations: `select y.oid::regtype::text as what from pg_type y
      where y.typnamespace in ${ours} and y.typtype in ('d', 'e') and obj_description(y.oid, 'pg_type') is null`,
    broken: ['create domain social.silent as text', 'social.silent'],
  },
  {
    name: 'user_id is a bigint that cannot be null, the first column of a per-user table',
    violations: `select a.attrelid::regclass::text as what from pg_attribute a
      where a.attrelid in ${perUser} and a.attname = 'user_id'
        and (a.attnum <> 1 or a.atttypid <> 'bigint'::regtype or not a.attnotnull)`,
    broken: ['create table notify.wrong (id bigint, user_id bigint not null)', 'notify.wrong'],
  },
  {
    name: 'every per-user table has a primary key',
    violations: `select u.attrelid::regclass::text as what from ${perUser} u
      where not exists (select from pg_index i where i.indrelid = u.attrelid and i.indisprimary)`,
    broken: ['create table notify.wrong (user_id bigint not null)', 'notify.wrong'],
  },
  {
    // Else a publication refuses its updates and deletions (manual, "Publication" and "Generated Column Replication").
    name: 'every table has a primary key without generated columns, or all columns identify a row',
    violations: `select c.oid::regclass::text as what from pg_class c
      where c.relnamespace in ${ours} and c.relkind in ('r', 'p') and not exists (
        select from pg_index i where i.indrelid = c.oid and i.indisprimary and c.relreplident = 'd' and not exists (
          select from pg_attribute a
          where a.attrelid = c.oid and a.attgenerated <> '' and a.attnum = any((i.indkey::int2[])[0:i.indnkeyatts - 1])))
        and not (c.relreplident = 'f' and not exists (
          select from pg_attribute a where a.attrelid = c.oid and a.attgenerated <> ''))`,
    broken: [
      'create table notify.wrong (user_id bigint, half bigint generated always as (user_id / 2) stored, primary key (user_id, half))',
      'notify.wrong',
    ],
  },
  {
    name: 'user_id is first in every unique key of a per-user table, and in each of its indexes',
    violations: `select i.indexrelid::regclass::text as what from pg_index i
      where i.indrelid in ${perUser}
        and ('user_id' <> all(${keysOf('i')}) or i.indisunique and (${keysOf('i')})[1] <> 'user_id')`,
    broken: ['create unique index wrong on notify.sources (source_id, user_id)', 'notify.wrong'],
  },
  {
    name: 'nothing in a per-user table is numbered by a sequence',
    violations: `select a.attrelid::regclass || '.' || a.attname as what from pg_attribute a
      left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
      where a.attrelid in ${perUser} and (a.attidentity <> '' or pg_get_expr(d.adbin, d.adrelid) like '%nextval%')`,
    broken: ['alter table notify.tombstones add column n bigserial', 'notify.tombstones.n'],
  },
  {
    name: 'a per-user table points at nothing and nothing points at it',
    violations: `select conrelid::regclass || '.' || conname as what from pg_constraint
      where contype = 'f' and (conrelid in ${perUser} or confrelid in ${perUser})`,
    broken: [
      'alter table notify.inbox add constraint wrong foreign key (user_id) references social.users on delete no action',
      'notify.inbox.wrong',
    ],
  },
  {
    name: 'there is no trigger but those that keep events out of a database that is not adopted, and the audit log as it is',
    violations: `select g.tgrelid::regclass || '.' || g.tgname as what from pg_trigger g join pg_class c on c.oid = g.tgrelid
      where not g.tgisinternal and c.relnamespace in ${ours} and g.tgname not in ('outbox_adopted', 'audit_append_only', 'audit_not_truncated')`,
    broken: [
      'create trigger wrong before update on social.likes for each row execute function suppress_redundant_updates_trigger()',
      'social.likes.wrong',
    ],
  },
  {
    name: 'every foreign key has an index on its side',
    violations: `select f.conrelid::regclass || '.' || f.conname as what from pg_constraint f
      where f.contype = 'f' and f.connamespace in ${ours} and not exists (
        select from pg_index i
        where i.indrelid = f.conrelid and (i.indkey::int2[])[0:cardinality(f.conkey) - 1] @> f.conkey
          and (i.indpred is null or pg_get_expr(i.indpred, i.indrelid) = (
            select '(' || string_agg(a.attname || ' IS NOT NULL', ' AND ') || ')' from pg_attribute a
            where a.attrelid = f.conrelid and a.attnum = any(f.conkey))
            or f.confrelid = 'social.users'::regclass and pg_get_expr(i.indpred, i.indrelid) = '(deleted_at IS NULL)')) -- their rows stay`,
    broken: ['drop index social.comments_of_parent', 'social.comments.comments_parent_id_fkey'],
  },
  {
    // Names and addresses are what people typed; the tables of migrations are Kysely's.
    name: 'a unique key of text that machines make is compared byte by byte',
    violations: `select x.oid::regclass::text as what from pg_index i join pg_class x on x.oid = i.indexrelid
      join pg_attribute a on a.attrelid = x.oid
      where x.relnamespace in ${ours} and i.indisunique and a.attcollation not in (0, '"C"'::regcollation)
        and i.indrelid not in ('social.users'::regclass, 'social.taken_names'::regclass, 'notify.migrations'::regclass, 'notify.migrations_lock'::regclass)`,
    broken: ['create unique index wrong on social.posts (body)', 'social.wrong'],
  },
  {
    name: 'no index is the beginning of another over the same rows',
    violations: `select a.indexrelid::regclass::text as what from pg_index a
      join pg_index b on b.indrelid = a.indrelid and b.indexrelid <> a.indexrelid
      join pg_class c on c.oid = a.indrelid
      where c.relnamespace in ${ours} and not c.relispartition and not a.indisunique
        and (${keysOf('b')})[1:a.indnkeyatts] = ${keysOf('a')}
        and (b.indclass::oid[])[0:a.indnkeyatts - 1] = (a.indclass::oid[])[0:]
        and (b.indcollation::oid[])[0:a.indnkeyatts - 1] = (a.indcollation::oid[])[0:]
        and pg_get_expr(a.indpred, a.indrelid) is not distinct from pg_get_expr(b.indpred, b.indrelid)`,
    broken: ['create index wrong on social.likes (user_id)', 'social.wrong'],
  },
]

t.test('the schema follows its rules', async (t) => {
  const { pool } = await setup(t)
  await checkRules(t, pool, rules)
})

t.test('the schema rules recognise the tables with a row per user', async (t) => {
  const { pool } = await setup(t)
  const { rows } = await pool.query(`select attrelid::regclass::text as name from ${perUser} u order by 1`)
  for (const name of ['inbox', 'notifications', 'sources', 'tombstones'])
    t.ok(
      rows.some((row) => row.name === `notify.${name}`),
      name,
    )
})
