-- Every table: rows (counted up to 10,000, beyond that estimated), size, and rows of the last five minutes among the newest 2 MB.
select
  t.name as "name",
  t.comment as "comment",
  t.rows as "rows",
  t.estimated as "estimated",
  t.bytes as "bytes",
  t.time_column as "timeColumn",
  case when t.time_column is not null then
    substring(query_to_xml(format('select count(*) as n from %s where %I > now() - interval ''5 minutes'' and %s', t.name, t.time_column, t.tail), false, true, '')::text from '<n>(\d+)</n>')::float8
  end as "lastFiveMinutes",
  t.tail_is_part as "recentEstimated"
from (
  select
    r.name,
    r.comment,
    r.time_column,
    r.bytes,
    r.tail,
    r.tail_is_part,
    r.estimate > 10000 as estimated,
    case
      when r.estimate > 10000 then r.estimate
      else substring(query_to_xml(format('select count(*) as n from (select from %s limit 10001) t', r.name), false, true, '')::text from '<n>(\d+)</n>')::float8
    end as rows
  from (
    select
      format('%I.%I', n.nspname, c.relname) as name,
      obj_description(c.oid) as comment,
      s.estimate,
      s.bytes,
      (select a.attname
       from pg_attribute a
       where a.attrelid = c.oid and a.attname = any (array['at', 'created_at', 'decided_at', 'opened_at', 'queued_at', 'removed_at'])
       order by a.attnum
       limit 1) as time_column,
      case
        when c.relname = 'outbox' then 'id > (select max(id) - 20000 from notify.outbox)'
        else format('ctid >= %L', '(' || greatest(s.last_bytes / current_setting('block_size')::int - 256, 0) || ',0)')
      end as tail,
      case when c.relname = 'outbox' then s.estimate > 20000 else s.last_bytes > 256 * current_setting('block_size')::int end as tail_is_part
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    cross join lateral (
      select
        sum(greatest(p.reltuples, 0))::float8 as estimate,
        sum(pg_table_size(p.oid))::float8 as bytes,
        (array_agg(pg_relation_size(p.oid) order by p.relname desc) filter (where pg_relation_size(p.oid) > 0 or p.oid = c.oid))[1] as last_bytes
      from (select c.oid union all select inhrelid from pg_inherits where inhparent = c.oid) part (oid)
      join pg_class p on p.oid = part.oid
    ) s
    where n.nspname in ('social', 'notify') and c.relkind in ('r', 'p') and not c.relispartition and has_any_column_privilege(c.oid, 'select')
  ) r
) t
order by t.name
