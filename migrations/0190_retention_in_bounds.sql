-- Retention looks at what is old, and at a bounded share of what cannot be found by age.

create table notify.retention_cursors (
  name text primary key,
  after_user bigint not null default 0,
  after_source text not null default '' collate "C",
  rounds bigint not null default 0,
  moved_at timestamptz not null default now()
);
comment on table notify.retention_cursors is 'How far retention has come in tables that it walks through, a share with each run. Nothing is lost when a row is deleted: the walk begins anew.';
comment on column notify.retention_cursors.name is 'sources: notify.sources, walked through once a day.';
comment on column notify.retention_cursors.after_user is 'User of the last row looked at.';
comment on column notify.retention_cursors.after_source is 'Source id of the last row looked at.';
comment on column notify.retention_cursors.rounds is 'How often the walk has come to the end.';
comment on column notify.retention_cursors.moved_at is 'When the cursor last moved.';

drop index notify.pending_dead;
create index pending_dead on notify.pending (created_at) where dead_at is not null;
comment on index notify.pending_dead is 'Retention: dead letters by the age of their event, which a replay does not renew.';

create index refresh_tokens_by_age on social.refresh_tokens ((coalesce(used_at, created_at)));
comment on index social.refresh_tokens_by_age is 'Retention: tokens that were used, or given out and never used, so long ago that they prove nothing any more.';

create index fan_outs_by_age on notify.fan_outs (finished_at) where finished_at is not null;
comment on index notify.fan_outs_by_age is 'Retention: finished fan-outs by age.';
