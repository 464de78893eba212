-- The log belongs to ravenpost_log, which nobody can be; ravenpost_app owns nothing. What a role owns may run, as a trigger, a default or a
-- policy, with the rights of whoever uses it. Only an owner makes and drops partitions, so functions do it.

create function notify.attach_partition(log text, name text, range_from text, range_to text) returns void
  language plpgsql security definer
  set search_path = pg_catalog, pg_temp
as $$
begin
  perform notify.require_partition_name(log, name);
  execute format('create table if not exists notify.%I (like notify.%I including all)', name, log);
  execute format('alter table notify.%I attach partition notify.%I for values from (%L) to (%L)', log, name, range_from, range_to);
end $$;
comment on function notify.attach_partition(text, text, text, text) is 'Makes a partition of outbox or delivery_log, from a bound (inclusive) to another (exclusive). A plain table first, then attached: attaching takes a lock that inserts do not wait for.';

create function notify.drop_partition(log text, name text) returns void
  language plpgsql security definer
  set search_path = pg_catalog, pg_temp
as $$
begin
  perform notify.require_partition_name(log, name);
  execute format('drop table if exists notify.%I', name);
end $$;
comment on function notify.drop_partition(text, text) is 'Drops a partition of outbox or delivery_log, if it is there. It needs the whole log for a moment: set a short lock_timeout.';

create function notify.require_partition_name(log text, name text) returns void
  language plpgsql immutable
  set search_path = pg_catalog, pg_temp
as $$
begin
  if (log in ('outbox', 'delivery_log') and name ~ ('^' || log || '_[0-9]{1,20}$')) is not true then
    raise exception using errcode = 'invalid_parameter_value', message = format('notify: %s is no partition of %s', name, log);
  end if;
end $$;
comment on function notify.require_partition_name(text, text) is 'Refuses (22023) what is not the name of a partition of outbox or delivery_log: the log, _ and digits.';

create or replace function ops.make_roles() returns void
  language plpgsql
as $$
declare
  role text;
begin
  foreach role in array array['ravenpost_app', 'ravenpost_readonly', 'ravenpost_emitter', 'ravenpost_critical', 'ravenpost_log'] loop
    if to_regrole(role) is null then
      -- Roles belong to the whole cluster: the migration of another database may make it at the same time.
      begin
        execute format('create role %I', role);
      exception when duplicate_object or unique_violation then null;
      end;
    end if;
  end loop;
exception when insufficient_privilege then
  raise notice 'this user may not create roles; docs/security.md says what to do';
end $$;
comment on function ops.make_roles is 'Makes the roles ravenpost_app, ravenpost_readonly, ravenpost_emitter, ravenpost_critical and ravenpost_log, without login, if they are missing and the caller may.';

create function ops.give_log_away() returns void
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
    -- An older version detached concurrently before it dropped, and may have been interrupted: such a partition cannot change its owner.
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
comment on function ops.give_log_away is 'Makes ravenpost_log, which has no other rights, the owner of the outbox, the delivery log, their partitions, and the functions that run as their owner.';

create or replace function ops.grant_privileges() returns void
  language plpgsql
as $$
begin
  if not pg_has_role((select nspowner from pg_namespace where nspname = 'ops'), 'usage') then
    return;
  end if;
  perform ops.make_roles();
  if to_regrole('ravenpost_log') is not null then
    perform ops.give_log_away();
  end if;
  if to_regrole('ravenpost_app') is not null then
    -- An older version let it make the partitions of the log.
    revoke create on schema notify from ravenpost_app;
    perform ops.grant_to_app();
  end if;
  if to_regrole('ravenpost_readonly') is not null then
    perform ops.grant_to_readonly();
  end if;
  perform ops.grant_to_emitters();
end $$;

drop function ops.give_log_to_app();
