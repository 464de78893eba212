-- Who makes and drops partitions holds a lease in a row; an advisory lock can be held by anybody.

create table notify.maintenance (
  what text primary key,
  lease text,
  held_until timestamptz not null default now(),
  finished_at timestamptz not null default now()
);
comment on table notify.maintenance is 'Work that one process at a time does: making partitions ahead and dropping old ones.';
comment on column notify.maintenance.what is 'The work.';
comment on column notify.maintenance.lease is 'Drawn by the process that does it.';
comment on column notify.maintenance.held_until is 'Until when nobody else does it; past when it is done. A process that dies keeps it for a minute at most.';
comment on column notify.maintenance.finished_at is 'When it was last done. Processes warn when that is ten minutes ago.';
insert into notify.maintenance (what) values ('outbox partitions'), ('delivery log partitions');
