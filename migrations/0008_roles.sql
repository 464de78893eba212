-- Roles with the privileges they need and no more. Nothing is granted outside this file.

create function ops.make_roles() returns void
  language plpgsql
as $$
declare
  role text;
begin
  foreach role in array array['ravenpost_app', 'ravenpost_readonly', 'ravenpost_emitter', 'ravenpost_critical', 'ravenpost_log'] loop
    if to_regrole(role) is null then
      -- Roles belong to the whole cluster, so the migration of another database may create the same role at this moment.
      begin
        execute format('create role %I', role);
      exception when duplicate_object or unique_violation then null;
      end;
    end if;
  end loop;
exception when insufficient_privilege then
  raise notice 'this user may not create roles; docs/security.md says what to do';
end $$;
comment on function ops.make_roles is 'Creates the roles ravenpost_app, ravenpost_readonly, ravenpost_emitter, ravenpost_critical and ravenpost_log, without login, if they are missing and the caller may create roles.';

create function ops.grant_to_app() returns void
  language plpgsql
as $$
declare
  t record;
begin
  grant usage on schema social, notify, ops, graphile_worker to ravenpost_app;
  for t in
    select c.oid::regclass as name, c.relkind as kind, n.nspname as schema, c.relrowsecurity as by_row, c.oid
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname in ('social', 'notify', 'ops', 'graphile_worker') and c.relkind in ('r', 'p', 'v', 'm', 'S') and not c.relispartition
  loop
    if t.kind = 'S' then
      if not has_sequence_privilege('ravenpost_app', t.oid, 'update') then
        execute format('grant usage, select, update on sequence %s to ravenpost_app', t.name);
      end if;
    elsif t.kind in ('v', 'm') or t.name::text like '%migrations%' or t.oid in ('notify.audit'::regclass, 'notify.audit_chain'::regclass) then
      if not has_table_privilege('ravenpost_app', t.oid, 'select') then
        execute format('grant select on %s to ravenpost_app', t.name);
      end if;
    elsif not has_table_privilege('ravenpost_app', t.oid, 'delete') then
      execute format('grant select, insert, update, delete on %s to ravenpost_app', t.name);
    end if;
    if t.by_row and not exists (select from pg_policy where polrelid = t.oid and polname = 'ravenpost_app') then
      -- The policy contains the role's name as text, not as its role, so that a dump can be restored where the role does not exist yet.
      execute format('create policy ravenpost_app on %s using (pg_has_role(current_user, ''ravenpost_app'', ''usage''))', t.name);
    end if;
  end loop;
end $$;
comment on function ops.grant_to_app is 'Allows ravenpost_app to read and write the rows of every table, but not to change or truncate a table, mark a migration as run, or write the audit log except through notify.write_audit.';

create function ops.grant_to_readonly() returns void
  language plpgsql
as $$
declare
  t record;
  open_columns text;
  closed_columns text;
  closed constant text := '(password|secret|token|_hash|^auth$|p256dh|private|^endpoint$|^answer$|^predecessor$)';
begin
  grant usage on schema social, notify, ops, graphile_worker to ravenpost_readonly;
  -- For ops.check, which reads the number of the newest event, and the transaction that wrote this row.
  grant select on notify.outbox_id_seq, notify.installation to ravenpost_readonly;
  for t in
    select c.oid::regclass as name, c.relkind as kind, c.relrowsecurity as by_row, c.oid
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname in ('social', 'notify', 'ops', 'graphile_worker') and c.relkind in ('r', 'p', 'v', 'm') and not c.relispartition
  loop
    -- The console finds the last pages of a table by ctid.
    if t.kind in ('r', 'p') then
      execute format('grant select (ctid) on %s to ravenpost_readonly', t.name);
    end if;
    select string_agg(format('%I', attname), ', ') filter (where not attname ~ closed),
           string_agg(format('%I', attname), ', ') filter (where attname ~ closed)
    into open_columns, closed_columns
    from pg_attribute where attrelid = t.oid and attnum > 0 and not attisdropped;
    if open_columns is not null then
      execute format('grant select (%s) on %s to ravenpost_readonly', open_columns, t.name);
    end if;
    if closed_columns is not null then
      execute format('revoke select (%s) on %s from ravenpost_readonly', closed_columns, t.name);
    end if;
    if t.by_row and not exists (select from pg_policy where polrelid = t.oid and polname = 'ravenpost_readonly') then
      execute format('create policy ravenpost_readonly on %s for select using (pg_has_role(current_user, ''ravenpost_readonly'', ''usage''))', t.name);
    end if;
  end loop;
  -- The server connects as ravenpost_app or as the caller. Its console reads as ravenpost_readonly, so both become members.
  begin
    if not pg_has_role('ravenpost_readonly', 'member') then
      execute format('grant ravenpost_readonly to %I', current_user);
    end if;
    if to_regrole('ravenpost_app') is not null and not pg_has_role('ravenpost_app', 'ravenpost_readonly', 'member') then
      grant ravenpost_readonly to ravenpost_app;
    end if;
  exception
    -- unique_violation, internal_error: the migration of another database granted the same at this moment.
    when insufficient_privilege or unique_violation or internal_error then
      raise notice 'the console cannot read as ravenpost_readonly: %; docs/console.md says what to do', sqlerrm;
  end;
end $$;
comment on function ops.grant_to_readonly is 'Allows ravenpost_readonly to read every table except columns with a secret, recognised by their names: hashes, tokens, keys, endpoints of browsers, stored responses. Revokes such a column if it was granted by hand. Allows ravenpost_app and the caller to act as this role.';

create function ops.grant_to_emitters() returns void
  language plpgsql
as $$
begin
  -- Otherwise any role with usage on the schema could call these functions.
  revoke execute on all functions in schema notify from public;
  if to_regrole('ravenpost_app') is not null then
    grant execute on all functions in schema notify to ravenpost_app;
  end if;
  if to_regrole('ravenpost_readonly') is not null then
    grant execute on function notify.shard_of, notify.clock_change, notify.quiet_until, notify.snooze_until, notify.digest_at, notify.digest_zone, notify.capped_until, notify.explain, notify.why, notify.why_not, notify.is_source, notify.timeline, notify.trace, notify.inbox_as_of, notify.cause_of, notify.audit_hash, notify.is_adopted to ravenpost_readonly;
  end if;
  if to_regrole('ravenpost_emitter') is not null then
    grant usage on schema notify to ravenpost_emitter;
    grant execute on function notify.emit, notify.retract, notify.users_of to ravenpost_emitter;
  end if;
  if to_regrole('ravenpost_critical') is not null then
    grant usage on schema notify to ravenpost_critical;
    grant execute on function notify.emit, notify.retract, notify.users_of to ravenpost_critical;
  end if;
end $$;
comment on function ops.grant_to_emitters is 'Allows ravenpost_emitter and ravenpost_critical to call notify.emit, notify.retract and notify.users_of, and none of our other functions. Revokes every other function of the schema from public.';

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
  grant usage on schema social to ravenpost_log;
  grant usage, create on schema notify to ravenpost_log;
  grant usage on sequence notify.outbox_id_seq to ravenpost_log;
  grant select on notify.types, notify.installation to ravenpost_log;
  grant select (user_id) on notify.inbox to ravenpost_log;
  grant select (id, external_id) on social.users to ravenpost_log;
  grant select, insert on notify.unreached to ravenpost_log;
  grant execute on function notify.append_send, notify.append_unreached, notify.refuse, notify.sql_source, notify.door_caller, notify.require_partition_name, notify.audit_hash, notify.refuse_audit_change to ravenpost_log;
  for t in
    select c.oid::regclass as name, i.inhparent::regclass as log, i.inhdetachpending as pending
    from pg_class c left join pg_inherits i on i.inhrelid = c.oid
    where c.relnamespace = 'notify'::regnamespace and c.relkind in ('r', 'p') and c.relname ~ '^(outbox|delivery_log|audit)(_[0-9]+)?$|^audit_chain$'
      and c.relowner <> 'ravenpost_log'::regrole
  loop
    -- Detaching this partition concurrently was interrupted; such a partition cannot change its owner.
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
comment on function ops.give_log_away is 'Makes ravenpost_log, which has no other rights, the owner of the outbox, the delivery log, the audit log, their partitions, and the functions that run with their owner''s rights.';

create function ops.guard_segments() returns void
  language plpgsql
as $$
begin
  revoke execute on function social.users_of_query from public;
  if to_regrole('ravenpost_app') is not null then
    grant execute on function social.users_of_query to ravenpost_app;
  end if;
  if not exists (select from pg_proc where oid = 'social.users_of_query'::regproc and proowner = 'ravenpost_readonly'::regrole) then
    if not pg_has_role('ravenpost_readonly', 'usage') then
      execute format('grant ravenpost_readonly to %I', current_user);
    end if;
    -- Only a role that may create objects in the schema can own the function.
    grant create on schema social to ravenpost_readonly;
    alter function social.users_of_query owner to ravenpost_readonly;
    revoke create on schema social from ravenpost_readonly;
  end if;
exception when insufficient_privilege then
  raise notice 'social.users_of_query cannot be given to ravenpost_readonly: %; docs/security.md says what to do', sqlerrm;
end $$;
comment on function ops.guard_segments is 'Makes ravenpost_readonly the owner of social.users_of_query, so that segments in SQL run with its rights.';

create function ops.grant_privileges() returns void
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
    -- ravenpost_log creates the partitions of the log, inside functions that run with its rights.
    revoke create on schema notify from ravenpost_app;
    perform ops.grant_to_app();
  end if;
  if to_regrole('ravenpost_readonly') is not null then
    perform ops.grant_to_readonly();
    perform ops.guard_segments();
  end if;
  perform ops.grant_to_emitters();
end $$;
comment on function ops.grant_privileges is 'Creates our roles and grants what they need, as far as the caller may. Runs at the end of every npm run migrate; running it again changes nothing.';
