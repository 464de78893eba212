-- Sessions that ended, for the processes that refuse their access tokens; and roles with the privileges they need and no more.

create index sessions_revoked on social.sessions (revoked_at) where revoked_at is not null;
comment on table social.sessions is 'One row per sign-in on one device. Index sessions_of_user: listing and deleting a user''s sessions; sessions_by_expiry: retention; sessions_revoked: whose access tokens are refused.';

create function ops.make_roles() returns void
  language plpgsql
as $$
declare
  role text;
begin
  foreach role in array array['ravenpost_app', 'ravenpost_readonly', 'ravenpost_emitter', 'ravenpost_critical'] loop
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
comment on function ops.make_roles is 'Makes the roles ravenpost_app, ravenpost_readonly, ravenpost_emitter and ravenpost_critical, without login, if they are missing and the caller may.';

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
    elsif t.kind in ('v', 'm') or t.name::text like '%migrations%' then
      if not has_table_privilege('ravenpost_app', t.oid, 'select') then
        execute format('grant select on %s to ravenpost_app', t.name);
      end if;
    elsif not has_table_privilege('ravenpost_app', t.oid, 'delete') then
      execute format('grant select, insert, update, delete on %s to ravenpost_app', t.name);
    end if;
    if t.by_row and not exists (select from pg_policy where polrelid = t.oid and polname = 'ravenpost_app') then
      -- The role by its name, not as the policy's role: so a dump can be restored where there are no such roles yet.
      execute format('create policy ravenpost_app on %s using (pg_has_role(current_user, ''ravenpost_app'', ''usage''))', t.name);
    end if;
  end loop;
end $$;
comment on function ops.grant_to_app is 'Lets ravenpost_app read and write the rows of every table, but not change a table, truncate it or say that a migration was run.';

create function ops.give_log_to_app() returns void
  language plpgsql
as $$
declare
  t regclass;
  logs constant oid[] := array['notify.outbox'::regclass, 'notify.delivery_log'::regclass];
begin
  grant create on schema notify to ravenpost_app;
  if not pg_has_role('ravenpost_app', 'usage') then
    execute format('grant ravenpost_app to %I', current_user);
  end if;
  for t in
    select c.oid::regclass from pg_class c
    where (c.oid = any(logs) or c.oid in (select inhrelid from pg_inherits where inhparent = any(logs)))
      and c.relowner <> 'ravenpost_app'::regrole
  loop
    execute format('alter table %s owner to ravenpost_app', t);
  end loop;
exception when insufficient_privilege then
  raise notice 'the log cannot be given to ravenpost_app: %; docs/security.md says what to do', sqlerrm;
end $$;
comment on function ops.give_log_to_app is 'Makes ravenpost_app the owner of the outbox and the delivery log, whose partitions it makes, detaches and drops.';

create function ops.grant_to_readonly() returns void
  language plpgsql
as $$
declare
  t record;
  open_columns text;
begin
  grant usage on schema social, notify, ops, graphile_worker to ravenpost_readonly;
  for t in
    select c.oid::regclass as name, c.relrowsecurity as by_row, c.oid
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname in ('social', 'notify', 'ops', 'graphile_worker') and c.relkind in ('r', 'p', 'v', 'm') and not c.relispartition
  loop
    select string_agg(format('%I', attname), ', ') into open_columns from pg_attribute
    where attrelid = t.oid and attnum > 0 and not attisdropped and not attname ~ '(password|secret|token|_hash|^auth$|p256dh|private)';
    if open_columns is not null then
      execute format('grant select (%s) on %s to ravenpost_readonly', open_columns, t.name);
    end if;
    if t.by_row and not exists (select from pg_policy where polrelid = t.oid and polname = 'ravenpost_readonly') then
      execute format('create policy ravenpost_readonly on %s for select using (pg_has_role(current_user, ''ravenpost_readonly'', ''usage''))', t.name);
    end if;
  end loop;
end $$;
comment on function ops.grant_to_readonly is 'Lets ravenpost_readonly read every table but columns that hold, by their name, something secret: hashes, tokens, keys.';

create function ops.grant_privileges() returns void
  language plpgsql
as $$
begin
  if not pg_has_role((select nspowner from pg_namespace where nspname = 'ops'), 'usage') then
    return;
  end if;
  perform ops.make_roles();
  if to_regrole('ravenpost_app') is not null then
    perform ops.grant_to_app();
    perform ops.give_log_to_app();
  end if;
  if to_regrole('ravenpost_readonly') is not null then
    perform ops.grant_to_readonly();
  end if;
  perform ops.grant_to_emitters();
end $$;
comment on function ops.grant_privileges is 'Makes our roles and gives them what they may do, as far as the caller may. Every npm run migrate calls it last; repeating it changes nothing.';
