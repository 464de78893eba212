-- The columns of a table: types, comments, keys, references, and whether ravenpost_readonly may read them.
select
  a.attname as "name",
  format_type(a.atttypid, a.atttypmod) as "type",
  col_description(c.oid, a.attnum) as "comment",
  has_column_privilege(c.oid, a.attnum, 'select') as "readable",
  (select k.place
   from pg_index i
   cross join unnest(i.indkey) with ordinality k (attnum, place)
   where i.indrelid = c.oid and i.indisprimary and k.attnum = a.attnum and k.place <= i.indnkeyatts)::int as "keyPlace",
  exists (select from pg_index i where i.indrelid = c.oid and i.indisvalid and i.indkey[0] = a.attnum and i.indpred is null) as "indexed",
  coalesce((select format('%I.%I', fn.nspname, f.relname) || '.' || fa.attname
   from pg_constraint k
   join pg_class f on f.oid = k.confrelid
   join pg_namespace fn on fn.oid = f.relnamespace
   join pg_attribute fa on fa.attrelid = f.oid and fa.attnum = k.confkey[1]
   where k.conrelid = c.oid and k.contype = 'f' and k.conkey = array[a.attnum]
   limit 1), case when a.attname in ('user_id', 'recipient_id', 'actor_id') then 'social.users.id' end) as "references",
  case
    when c.relname = 'outbox' then 'id > (select max(id) - 20000 from notify.outbox)'
    else case when c.relname = 'delivery_log' then 'at > now() - interval ''1 day'' and ' else '' end
      || format('ctid >= %L', '(' || greatest(s.last_bytes / current_setting('block_size')::int - 512, 0) || ',0)')
  end as "tail",
  case
    when c.relname = 'outbox' then s.estimate > 20000
    else s.last_bytes > 512 * current_setting('block_size')::int
  end as "tailIsPart"
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
cross join lateral (
  select
    sum(greatest(p.reltuples, 0)) as estimate,
    (array_agg(pg_relation_size(p.oid) order by p.relname desc) filter (where pg_relation_size(p.oid) > 0 or p.oid = c.oid))[1] as last_bytes
  from (select c.oid union all select inhrelid from pg_inherits where inhparent = c.oid) part (oid)
  join pg_class p on p.oid = part.oid
) s
where n.nspname in ('social', 'notify') and c.relkind in ('r', 'p') and not c.relispartition and format('%I.%I', n.nspname, c.relname) = $1::text
order by a.attnum
