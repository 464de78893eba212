-- Keys that machines make are compared byte by byte. An update of the C library may change the order of every other collation, and
-- with it break the unique indexes that keep a source from notifying twice.

set local check_function_bodies = off;
do $$
declare
  kept record;
  changed record;
  views jsonb := '[]';
  functions text[] := '{}';
  body text;
begin
  -- Nor can one that the body of a function names; replaced and put back, it keeps its owner, privileges and comment.
  for kept in
    select p.oid, pg_get_functiondef(p.oid) as body from pg_proc p
    where p.pronamespace in ('notify'::regnamespace, 'ops'::regnamespace) and p.prosqlbody is not null
      and exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.refclassid = 'pg_class'::regclass)
  loop
    functions := functions || kept.body;
    execute regexp_replace(kept.body, '\n(BEGIN ATOMIC|RETURN ).*$', E'\nas ''select''');
  end loop;

  -- A column that a view shows cannot be changed, so the views are made anew; what they are is read from the catalog.
  for kept in
    select c.oid::regclass::text as name, pg_get_viewdef(c.oid) as body, obj_description(c.oid, 'pg_class') as said,
           (select coalesce(jsonb_object_agg(a.attname, col_description(c.oid, a.attnum)) filter (where col_description(c.oid, a.attnum) is not null), '{}')
            from pg_attribute a where a.attrelid = c.oid and a.attnum > 0) as columns
    from pg_class c where c.relkind = 'v' and c.relnamespace = 'ops'::regnamespace order by c.oid
  loop
    views := views || to_jsonb(kept);
    execute format('drop view %s', kept.name);
  end loop;

  for changed in
    select a.attrelid::regclass as "table", string_agg(format('alter column %I type text collate "C"', a.attname), ', ') as columns
    from pg_attribute a join pg_class c on c.oid = a.attrelid
    where c.relkind = 'r' and not c.relispartition and a.atttypid = 'text'::regtype and a.attcollation <> '"C"'::regcollation and not a.attisdropped
      and (c.relnamespace = 'notify'::regnamespace
             and (c.relname, a.attname) in (
               ('sources', 'source_id'), ('sources', 'waits_for'), ('sources', 'waits_filter'), ('sends', 'source_id'), ('sends', 'sender'),
               ('notifications', 'group_key'), ('notifications', 'thread_key'), ('notifications', 'filter_reason'), ('notifications', 'type'),
               ('windows', 'group_key'), ('windows', 'filter'), ('windows', 'type'), ('windows', 'thread_key'), ('types', 'type'),
               ('deliveries', 'channel'), ('deliveries', 'target'), ('fan_outs', 'kind'), ('fan_outs', 'thread_key'),
               ('pending', 'consumer'), ('positions', 'consumer'), ('push_subscriptions', 'id'),
               ('workers', 'worker_id'), ('outbox_partitions', 'name'), ('delivery_log_days', 'name'), ('maintenance', 'what'),
               ('retention_cursors', 'name'))
           or c.relnamespace = 'social'::regnamespace
             and (c.relname, a.attname) in (
               ('rate_limits', 'key'), ('idempotency_keys', 'caller'), ('idempotency_keys', 'key'), ('media', 'id'), ('post_media', 'media_id'), ('users', 'avatar_media_id')))
    group by a.attrelid
  loop
    execute format('alter table %s %s', changed."table", changed.columns);
  end loop;

  for kept in select * from jsonb_to_recordset(views) v (name text, body text, said text, columns jsonb) loop
    execute format('create view %s as %s', kept.name, kept.body);
    execute format('comment on view %s is %L', kept.name, kept.said);
    for changed in select key, value from jsonb_each_text(kept.columns) loop
      execute format('comment on column %s.%I is %L', kept.name, changed.key, changed.value);
    end loop;
  end loop;
  foreach body in array functions loop
    execute body;
  end loop;
end $$;
