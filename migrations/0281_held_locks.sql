-- Who holds locks on our tables, and who waits for them.

create view ops.held_locks as
with held as (
  select l.pid, l.virtualtransaction as transaction, array_agg(distinct l.relation::regclass || ' ' || l.mode) as locks
  from pg_locks l
  join pg_class c on c.oid = l.relation
  where l.granted and l.database = (select oid from pg_database where datname = current_database())
    and c.relnamespace in (select oid from pg_namespace where nspname in ('social', 'notify', 'graphile_worker'))
    and c.relkind in ('r', 'p') and l.pid is distinct from pg_backend_pid()
  group by l.pid, l.virtualtransaction
), waits as (
  select blocker as pid, array_agg(w.pid order by w.pid) as waiting
  from (select distinct pid from pg_locks where not granted) w
  cross join unnest(pg_blocking_pids(w.pid)) blocker
  group by blocker
)
select h.pid, h.transaction, coalesce(a.usename, x.owner)::text as role,
       coalesce(a.application_name, 'prepared transaction ' || x.gid) as application, a.state,
       coalesce(a.xact_start, x.prepared) as since, h.locks, coalesce(w.waiting, '{}') as waiting
from held h
left join pg_stat_activity a on a.pid = h.pid
left join (
  select l.virtualtransaction as transaction, p.gid, p.owner, p.prepared
  from pg_prepared_xacts p join pg_locks l on l.transactionid = p.transaction and l.locktype = 'transactionid' and l.pid is null
) x on h.pid is null and x.transaction = h.transaction
left join waits w on w.pid = coalesce(h.pid, 0);
comment on view ops.held_locks is 'Transactions that hold locks on our tables, and who waits for them. End one by pg_terminate_backend(pid) or rollback prepared.';
comment on column ops.held_locks.pid is 'Process of the session at the server; null: a prepared transaction.';
comment on column ops.held_locks.transaction is 'Virtual transaction id: the same as long as the transaction is open.';
comment on column ops.held_locks.role is 'Role that signed in.';
comment on column ops.held_locks.application is 'application_name of the session; ours begin with ravenpost.';
comment on column ops.held_locks.state is 'As in pg_stat_activity; null for roles that may not see it (pg_read_all_stats).';
comment on column ops.held_locks.since is 'When the transaction began; null for roles that may not see it (pg_read_all_stats).';
comment on column ops.held_locks.locks is 'Tables and modes. Who locks rows holds RowShareLock or RowExclusiveLock on their table.';
comment on column ops.held_locks.waiting is 'Processes that wait for one of its locks.';
