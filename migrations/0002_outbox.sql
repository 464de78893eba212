-- The log of events and how its readers stand.

create schema if not exists notify; -- the migrator may have made it for its own table
comment on schema notify is 'The notification engine: the log of events, its readers'' positions, and everybody''s inbox.';

create function notify.shard_of(user_id bigint) returns smallint
  language sql immutable strict parallel safe
  return ((hashint8(user_id)::bigint + 2147483648) >> 27)::smallint;
comment on function notify.shard_of(bigint) is 'The user''s shard, 0 to 31: Citus'' own hash bucket, so that a batch inside one shard stays on one node.';

create table notify.installation (
  only_row boolean primary key default true constraint one_installation check (only_row),
  epoch text not null,
  system_identifier bigint not null,
  timeline text not null,
  database_oid oid not null,
  adopted_at timestamptz not null default now()
);
comment on table notify.installation is 'Which cluster the transaction ids in this database belong to. Each new connection compares; after a restore, a copy or a promotion the database is adopted once and gets a new epoch.';
comment on column notify.installation.only_row is 'Always true: there is one row.';
comment on column notify.installation.epoch is 'Stands in front of every state; a client that holds a state of another epoch fetches its list again.';
comment on column notify.installation.system_identifier is 'pg_control_system().system_identifier of the cluster.';
comment on column notify.installation.timeline is 'Timeline of the cluster, the first 8 characters of its WAL file names.';
comment on column notify.installation.database_oid is 'Oid of this database.';
comment on column notify.installation.adopted_at is 'When the database was made or last adopted.';

create sequence notify.outbox_id_seq as bigint cache 1;
comment on sequence notify.outbox_id_seq is 'Ids of events. Cache 1: the order of two events about one thing is the order of their ids.';

-- xid stands before id, and defaults are evaluated in the order of columns: whoever has drawn an id has a transaction id already.
-- So a transaction id taken after the last id of a partition was drawn is above those of all its writers (src/notify/outbox/partitions.ts).
create table notify.outbox (
  xid xid8 not null default pg_current_xact_id(),
  id bigint not null default nextval('notify.outbox_id_seq'),
  shard smallint not null generated always as (((hashint8(coalesce(recipient_id, actor_id, 0))::bigint + 2147483648) >> 27)::smallint) stored,
  critical boolean not null default false,
  counted boolean not null,
  action text not null,
  retracts boolean not null default false,
  source_id text not null constraint source_id_length check (length(source_id) between 1 and 300),
  type text,
  recipient_id bigint,
  actor_id bigint,
  object_type text,
  object_id text,
  thread_key text,
  group_key text,
  data jsonb not null default '{}',
  request_id text,
  created_at timestamptz not null default now(),
  primary key (id),
  constraint told_what check (recipient_id is null or type is not null)
) partition by range (id);
create index outbox_by_shard on notify.outbox (shard, xid, id) where not critical;
create index outbox_critical on notify.outbox (xid, id) where critical;
comment on table notify.outbox is 'Append-only log of events: one row per action and recipient, in the action''s own transaction. Never updated, never deleted row by row; partitions go after retention. Index outbox_by_shard is the reading order of the lanes, outbox_critical that of the critical lane.';
comment on column notify.outbox.xid is 'The transaction that wrote the event; readers tell by it what they have read (decision 4).';
comment on column notify.outbox.id is 'Drawn under the domain row''s lock: of two events about one thing the later has the higher id.';
comment on column notify.outbox.shard is 'Shard of the recipient, of the actor where nobody is told.';
comment on column notify.outbox.critical is 'Goes through the critical lane, past every backlog.';
comment on column notify.outbox.counted is 'True on exactly one row per action: the row that moves counters.';
comment on column notify.outbox.action is 'What was done: like, comment, follow, post, send.';
comment on column notify.outbox.retracts is 'True when the action was taken back: unlike, unfollow, deletion.';
comment on column notify.outbox.source_id is 'The event''s stable name, the key of dedupe: like:<post>:<user>, follow:<follower>:<followee>, comment:<id>, post:<id>.';
comment on column notify.outbox.type is 'What the recipient is told: post.liked, comment.created, comment.replied, user.mentioned, user.followed, or the type of a send.';
comment on column notify.outbox.recipient_id is 'Whose inbox it concerns; null when nobody is to be told.';
comment on column notify.outbox.actor_id is 'Who did it; null for a send without actor.';
comment on column notify.outbox.object_type is 'post, comment, user or a name of the sender''s.';
comment on column notify.outbox.object_id is 'Id of the object it is about.';
comment on column notify.outbox.thread_key is 'The post below which it happened, post:<id>; deletion of the post finds its notifications by it.';
comment on column notify.outbox.group_key is 'Events of one recipient and group key become one notification while the group is open; null: never grouped.';
comment on column notify.outbox.data is 'Facts for clients and counters: postId, commentId, parentId. Of a send: title, body, url, severity, priority, expiresAt, and under data the sender''s own facts.';
comment on column notify.outbox.request_id is 'Request that caused it, to follow it through the logs.';
comment on column notify.outbox.created_at is 'Start of the transaction that wrote it.';

create table notify.outbox_partitions (
  name text primary key,
  from_id bigint not null,
  to_id bigint not null,
  filled_at timestamptz,
  filled_before xid8,
  constraint partition_not_empty check (from_id < to_id)
);
comment on table notify.outbox_partitions is 'The partitions of notify.outbox, by id range, made ahead and dropped after retention.';
comment on column notify.outbox_partitions.name is 'Table name in schema notify.';
comment on column notify.outbox_partitions.from_id is 'First id it holds.';
comment on column notify.outbox_partitions.to_id is 'First id it does not hold any more.';
comment on column notify.outbox_partitions.filled_at is 'When all its ids had been drawn.';
comment on column notify.outbox_partitions.filled_before is 'A transaction id above those of all its writers; a reader whose done snapshot has this as xmin or a later one has read the partition whole.';

create table notify.positions (
  consumer text not null,
  lane smallint not null,
  critical boolean not null default false,
  shard_from smallint not null default 0,
  shard_to smallint not null default 31,
  from_id bigint not null default 0,
  done pg_snapshot not null default pg_current_snapshot(),
  target pg_snapshot,
  after_shard smallint,
  after_xid xid8,
  after_id bigint,
  moved_at timestamptz not null default now(),
  primary key (consumer, lane),
  constraint after_inside_target check ((target is null) = (after_id is null) and (after_id is null) = (after_xid is null) and (after_id is null) = (after_shard is null))
) with (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0);
comment on table notify.positions is 'How far each lane of each consumer has read the log; moved in the transaction of the effects. A lane is held by locking its row. fillfactor 10 and eager autovacuum: six rows, updated by every batch.';
comment on column notify.positions.consumer is 'notifications or counters.';
comment on column notify.positions.lane is 'Number of the lane; 99 is the critical lane.';
comment on column notify.positions.critical is 'Whether this lane reads the critical events, and only those.';
comment on column notify.positions.shard_from is 'First shard of the lane.';
comment on column notify.positions.shard_to is 'Last shard of the lane.';
comment on column notify.positions.from_id is 'Events below this id are none of this reader''s concern: read whole, or pending since an adoption. Prunes old partitions.';
comment on column notify.positions.done is 'Everything visible in this snapshot has been read.';
comment on column notify.positions.target is 'The window being read: what is visible in target and not in done. Null between windows.';
comment on column notify.positions.after_shard is 'Shard of the last event read inside the window.';
comment on column notify.positions.after_xid is 'Transaction of the last event read inside the window.';
comment on column notify.positions.after_id is 'Id of the last event read inside the window.';
comment on column notify.positions.moved_at is 'When the position last moved.';

create table notify.pending (
  id bigint generated always as identity primary key,
  consumer text not null,
  event_id bigint not null,
  recipient_id bigint,
  event jsonb not null,
  attempts integer not null default 0,
  due_at timestamptz not null default now(),
  last_error text,
  created_at timestamptz not null default now(),
  dead_at timestamptz,
  constraint pending_once unique (event_id, consumer)
);
create index pending_due on notify.pending (due_at, id) where dead_at is null;
create index pending_dead on notify.pending (dead_at) where dead_at is not null;
comment on table notify.pending is 'Events taken out of a batch: their content failed, their inbox was held by someone else, or the database was adopted before they were read. Retried with backoff; a row with dead_at is a dead letter. Index pending_due: what to retry, in its order, since an adoption makes a whole backlog due at once; pending_dead: dead letters by age.';
comment on column notify.pending.id is 'Number of the row; names a dead letter.';
comment on column notify.pending.consumer is 'The consumer that still owes the effect.';
comment on column notify.pending.event_id is 'Id of the event.';
comment on column notify.pending.recipient_id is 'Recipient of the event.';
comment on column notify.pending.event is 'Copy of the event: the log may be dropped before it succeeds.';
comment on column notify.pending.attempts is 'Failed attempts so far.';
comment on column notify.pending.due_at is 'When to try again.';
comment on column notify.pending.last_error is 'Why the last attempt failed.';
comment on column notify.pending.created_at is 'When it became pending.';
comment on column notify.pending.dead_at is 'When the last attempt was used up: a dead letter since then.';

create table notify.fan_outs (
  id bigint generated always as identity primary key,
  kind text not null constraint fan_out_kind_known check (kind in ('retract_post', 'retract_comment', 'delete_user')),
  object_id bigint not null,
  thread_key text,
  cursor_user_id bigint not null default 0,
  attempts integer not null default 0,
  due_at timestamptz not null default now(),
  last_error text,
  created_at timestamptz not null default now(),
  finished_at timestamptz,
  constraint fan_out_once unique (kind, object_id)
);
create index fan_outs_unfinished on notify.fan_outs (due_at) where finished_at is null;
comment on table notify.fan_outs is 'Long work done in chunks, each one transaction that moves the cursor: retracting a deleted post or comment from every inbox, cleaning up after a deleted user. Index fan_outs_unfinished: what is left to do.';
comment on column notify.fan_outs.id is 'Number of the fan-out.';
comment on column notify.fan_outs.kind is 'retract_post, retract_comment or delete_user.';
comment on column notify.fan_outs.object_id is 'The post, comment or user that was deleted.';
comment on column notify.fan_outs.thread_key is 'The thread whose notifications are looked through.';
comment on column notify.fan_outs.cursor_user_id is 'Users up to this one are done.';
comment on column notify.fan_outs.attempts is 'Chunks that failed since the last one that succeeded.';
comment on column notify.fan_outs.due_at is 'When the next chunk is due: later after a failure.';
comment on column notify.fan_outs.last_error is 'Why the last failing chunk failed.';
comment on column notify.fan_outs.created_at is 'When the deletion was committed.';
comment on column notify.fan_outs.finished_at is 'When nothing was left to do.';

create table notify.workers (
  worker_id text primary key,
  host text not null,
  pid integer not null,
  started_at timestamptz not null default now(),
  beat_at timestamptz not null default now()
) with (fillfactor = 20);
comment on table notify.workers is 'Worker processes and their last heartbeat; the sweep unlocks the jobs of those that fell silent.';
comment on column notify.workers.worker_id is 'The id under which graphile-worker locks jobs.';
comment on column notify.workers.host is 'Host name of the process.';
comment on column notify.workers.pid is 'Process id on that host.';
comment on column notify.workers.started_at is 'When it started.';
comment on column notify.workers.beat_at is 'Its last heartbeat.';

insert into notify.installation (epoch, system_identifier, timeline, database_oid)
select substr(md5(gen_random_uuid()::text), 1, 8), system_identifier, left(pg_walfile_name(pg_current_wal_lsn()), 8),
       (select oid from pg_database where datname = current_database())
from pg_control_system();

create table notify.outbox_1 partition of notify.outbox for values from (1) to (2000001);
create table notify.outbox_2000001 partition of notify.outbox for values from (2000001) to (4000001);
create table notify.outbox_4000001 partition of notify.outbox for values from (4000001) to (6000001);
insert into notify.outbox_partitions (name, from_id, to_id)
values ('outbox_1', 1, 2000001), ('outbox_2000001', 2000001, 4000001), ('outbox_4000001', 4000001, 6000001);

-- Four lanes of eight shards, the critical lane, and the one lane of the counters.
insert into notify.positions (consumer, lane, critical, shard_from, shard_to)
values ('notifications', 0, false, 0, 7), ('notifications', 1, false, 8, 15), ('notifications', 2, false, 16, 23),
       ('notifications', 3, false, 24, 31), ('notifications', 99, true, 0, 31), ('counters', 0, false, 0, 31);

create function notify.replay_dead_letter(dead_letter_id bigint) returns boolean
  language sql
  begin atomic
    update notify.pending set dead_at = null, attempts = 0, due_at = now() where id = dead_letter_id and dead_at is not null
    returning true;
  end;
comment on function notify.replay_dead_letter(bigint) is 'Tries a dead letter again from its first attempt; null when there is no such dead letter. The event is applied once, however often it is replayed.';
