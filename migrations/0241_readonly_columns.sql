-- What ravenpost_readonly may not read: also where a browser is reached, what was answered, and hashes that are not named so.

create or replace function ops.grant_to_readonly() returns void
  language plpgsql
as $$
declare
  t record;
  open_columns text;
  closed_columns text;
  closed constant text := '(password|secret|token|_hash|^auth$|p256dh|private|^endpoint$|^answer$|^predecessor$)';
begin
  grant usage on schema social, notify, ops, graphile_worker to ravenpost_readonly;
  for t in
    select c.oid::regclass as name, c.relrowsecurity as by_row, c.oid
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname in ('social', 'notify', 'ops', 'graphile_worker') and c.relkind in ('r', 'p', 'v', 'm') and not c.relispartition
  loop
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
end $$;
comment on function ops.grant_to_readonly is 'Lets ravenpost_readonly read every table but columns that hold, by their name, something secret: hashes, tokens, keys, endpoints of browsers, kept answers. What an older version had granted of those is revoked.';
