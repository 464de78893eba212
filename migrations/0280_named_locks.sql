-- What is locked by a name is a row of ours: anybody may hold an advisory lock.

create table notify.named_locks (
  name text collate "C" primary key,
  used_at timestamptz not null default now()
);
create index named_locks_by_age on notify.named_locks (used_at);
comment on table notify.named_locks is 'Rows that a transaction locks where no other row stands for what it does alone: taking over a browser, storing a file, sending a source. Index named_locks_by_age: retention.';
comment on column notify.named_locks.name is 'browser:<id of the subscription>, media:<SHA-256>, or the source of a send.';
comment on column notify.named_locks.used_at is 'When it was last locked; removed a day later.';

comment on column social.idempotency_keys.status is 'Status of the answer; 0 while the first request with the key is under way, which no other transaction sees.';
