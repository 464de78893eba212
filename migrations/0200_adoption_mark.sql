-- A database that was restored or copied shows it by itself, and takes no events until it is adopted.

alter table notify.installation add adopted_by xid8, add table_oid oid;
update notify.installation set adopted_by = pg_current_xact_id(), table_oid = tableoid;
comment on table notify.installation is 'Which cluster the transaction ids in this database belong to. Each new connection compares, and each api once a second; after a restore, a copy or a promotion the database gets a new epoch.';
comment on column notify.installation.adopted_by is 'The transaction that last wrote this row. In a restored or replicated row it differs from the row''s own xmin: the database has to be adopted.';
comment on column notify.installation.table_oid is 'Oid of this table. A restored table has another one, so that an equal adopted_by by chance does not matter.';
comment on column notify.installation.adopted_at is 'When the database was made or last adopted, or its epoch last changed.';

-- Functions in plpgsql, which keeps its plans: one in SQL is planned at each call, which takes five times as long.
create function notify.is_adopted() returns boolean
  language plpgsql stable
as $$
begin
  return (select i.xmin = xid(i.adopted_by) and i.tableoid = i.table_oid and i.system_identifier = c.system_identifier
          from notify.installation i, pg_control_system() c);
end $$;
comment on function notify.is_adopted is 'Whether the transaction ids in this database are its cluster''s: false after a restore or logical replication, until npm run migrate or the first start. A promoted standby and a copy by template go on with the ids that they have.';

create function notify.require_adopted() returns trigger
  language plpgsql
as $$
begin
  -- Without the system identifier, which is read from a file: that would take longer than all the rest.
  if (select i.xmin = xid(i.adopted_by) and i.tableoid = i.table_oid from notify.installation i) then
    return null;
  end if;
  raise exception using errcode = 'object_not_in_prerequisite_state',
    message = 'notify: this database was restored or copied and is not adopted yet',
    hint = 'Run npm run migrate or start Ravenpost, then try again.';
end $$;
comment on function notify.require_adopted is 'Refuses events in a database that is not adopted: their transaction ids would be compared with another cluster''s, and they would never be read.';

create trigger outbox_adopted before insert on notify.outbox for each statement execute function notify.require_adopted();
comment on trigger outbox_adopted on notify.outbox is 'One check per statement, whatever writes: notify.emit, notify.retract, sends and social actions.';

create function ops.advance_sequences() returns bigint
  language plpgsql
as $$
declare
  identity record;
  highest bigint;
  advanced bigint := 0;
begin
  for identity in
    select s.oid::regclass as sequence, t.oid::regclass as name, a.attname as id
    from pg_class s
    join pg_depend d on d.classid = 'pg_class'::regclass and d.objid = s.oid and d.refclassid = 'pg_class'::regclass and d.deptype in ('a', 'i')
    join pg_class t on t.oid = d.refobjid
    join pg_attribute a on a.attrelid = t.oid and a.attnum = d.refobjsubid
    where s.relkind = 'S' and s.relnamespace::regnamespace::text in ('social', 'notify', 'graphile_worker')
  loop
    execute format('select max(%I) from %s', identity.id, identity.name) into highest;
    if highest > coalesce(pg_sequence_last_value(identity.sequence), 0) then
      perform setval(identity.sequence, highest);
      advanced := advanced + 1;
    end if;
  end loop;
  return advanced;
end $$;
comment on function ops.advance_sequences is 'Moves every sequence that is behind the ids of its table to the highest of them, as after logical replication, which copies no sequences; returns how many. Adoption calls it.';
