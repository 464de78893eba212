-- An older version detached partitions concurrently before it dropped them, and may have been interrupted on the way: such a partition
-- cannot change its owner until its detachment is finalized, and is no partition any more afterwards.

create or replace function ops.give_log_away() returns void
  language plpgsql
as $$
declare
  t record;
  f regprocedure;
begin
  if not pg_has_role('ravenpost_log', 'usage') then
    execute format('grant ravenpost_log to %I', current_user);
  end if;
  grant usage, create on schema notify to ravenpost_log;
  grant usage on sequence notify.outbox_id_seq to ravenpost_log;
  grant select on notify.types, notify.installation to ravenpost_log;
  grant execute on function notify.append_send, notify.refuse, notify.sql_source, notify.door_caller, notify.require_partition_name to ravenpost_log;
  for t in
    select c.oid::regclass as name, i.inhparent::regclass as log, i.inhdetachpending as pending
    from pg_class c left join pg_inherits i on i.inhrelid = c.oid
    where c.relnamespace = 'notify'::regnamespace and c.relkind in ('r', 'p') and c.relname ~ '^(outbox|delivery_log)(_[0-9]+)?$'
      and c.relowner <> 'ravenpost_log'::regrole
  loop
    if t.pending then
      execute format('alter table %s detach partition %s finalize', t.log, t.name);
    end if;
    execute format('alter table %s owner to ravenpost_log', t.name);
  end loop;
  for f in
    select p.oid::regprocedure from pg_proc p
    where p.prosecdef and p.pronamespace = 'notify'::regnamespace and p.proowner <> 'ravenpost_log'::regrole
  loop
    execute format('alter function %s owner to ravenpost_log', f);
  end loop;
exception when insufficient_privilege then
  raise notice 'the log cannot be given to ravenpost_log: %; docs/security.md says what to do', sqlerrm;
end $$;
