-- The log of events, the positions of its readers, and the work that follows from it.

create table notify.installation (
  only_row boolean primary key default true constraint one_installation check (only_row),
  epoch text not null,
  system_identifier bigint not null,
  timeline text not null,
  database_oid oid not null,
  table_oid oid,
  adopted_by xid8,
  adopted_at timestamptz not null default now()
);
comment on table notify.installation is 'The cluster that the transaction ids in this database belong to. Each new connection compares, and each API once a second; after a restore, a copy or a promotion the database gets a new epoch.';
comment on column notify.installation.only_row is 'Always true: there is one row.';
comment on column notify.installation.epoch is 'First part of every state; a client with a state of another epoch fetches its list again.';
comment on column notify.installation.system_identifier is 'pg_control_system().system_identifier of the cluster.';
comment on column notify.installation.timeline is 'Timeline of the cluster, the first 8 characters of its WAL file names.';
comment on column notify.installation.database_oid is 'Oid of this database.';
comment on column notify.installation.table_oid is 'Oid of this table. A restored table has another one, so that an equal adopted_by by chance does not matter.';
comment on column notify.installation.adopted_by is 'The transaction that last wrote this row. In a restored or replicated row it differs from the row''s own xmin: the database has to be adopted.';
comment on column notify.installation.adopted_at is 'Time of the creation, the last adoption, or the last change of epoch.';

insert into notify.installation (epoch, system_identifier, timeline, database_oid, table_oid, adopted_by)
select substr(md5(gen_random_uuid()::text), 1, 8),
       system_identifier,
       left(pg_walfile_name(pg_current_wal_lsn()), 8),
       (select oid from pg_database where datname = current_database()),
       'notify.installation'::regclass,
       pg_current_xact_id()
from pg_control_system();

-- Both in plpgsql, which keeps its plans: a function in SQL is planned at each call and takes five times as long.
create function notify.is_adopted() returns boolean
  language plpgsql stable
as $$
begin
  return (select i.xmin = xid(i.adopted_by) and i.tableoid = i.table_oid and i.system_identifier = c.system_identifier
          from notify.installation i, pg_control_system() c);
end $$;
comment on function notify.is_adopted is 'Whether the transaction ids in this database are its cluster''s: false after a restore or logical replication, until npm run migrate or the first start. A promoted standby and a copy by template continue with the ids they have.';

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

create sequence notify.outbox_id_seq as bigint cache 1;
comment on sequence notify.outbox_id_seq is 'Ids of events. Cache 1: the order of two events about one thing is the order of their ids.';

-- xid precedes id, and defaults are evaluated in the order of columns: a transaction that has drawn an id has a transaction id already.
-- So a transaction id taken after the last id of a partition was drawn is above those of all its writers (partitions.ts).
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
comment on table notify.outbox is 'Append-only log of events: one row per action and recipient, in the action''s own transaction. Rows are never updated or deleted; retention drops partitions.';
comment on column notify.outbox.xid is 'The transaction that wrote the event; readers compare it with the snapshots in notify.positions.';
comment on column notify.outbox.id is 'Drawn under the domain row''s lock: of two events about one object the later has the higher id.';
comment on column notify.outbox.shard is 'Shard of the recipient; of the actor where there is no recipient.';
comment on column notify.outbox.critical is 'Goes through the critical lane, past every backlog.';
comment on column notify.outbox.counted is 'True on exactly one row per action: the row that moves counters.';
comment on column notify.outbox.action is 'like, comment, follow, post or send.';
comment on column notify.outbox.retracts is 'True when the action is undone: unlike, unfollow, deletion.';
comment on column notify.outbox.source_id is 'The event''s stable name, the key of dedupe: like:<post>:<user>, follow:<follower>:<followee>, comment:<id>, post:<id>.';
comment on column notify.outbox.type is 'Type of the notification: post.liked, comment.created, comment.replied, user.mentioned, user.followed, or the type of a send.';
comment on column notify.outbox.recipient_id is 'The user to notify; null: nobody.';
comment on column notify.outbox.actor_id is 'The user who acted; null for a send without actor.';
comment on column notify.outbox.object_type is 'post, comment, user, or a name that the sender chose.';
comment on column notify.outbox.object_id is 'Id of the object it is about.';
comment on column notify.outbox.thread_key is 'The post below which it happened, post:<id>; deletion of the post finds its notifications by it.';
comment on column notify.outbox.group_key is 'Events of one recipient and group key become one notification while the group is open; null: never grouped.';
comment on column notify.outbox.data is 'Facts for clients and counters: postId, commentId, parentId. Of a send: title, body, url, severity, priority, expiresAt, and under data the sender''s own facts.';
comment on column notify.outbox.request_id is 'Request that caused it, for tracing it through the logs.';
comment on column notify.outbox.created_at is 'Start of the transaction that wrote it.';

create index outbox_by_shard on notify.outbox (shard, xid, id) where not critical;
comment on index notify.outbox_by_shard is 'Reading order of the lanes.';

create index outbox_critical on notify.outbox (xid, id) where critical;
comment on index notify.outbox_critical is 'Reading order of the critical lane.';

create trigger outbox_adopted before insert on notify.outbox for each statement execute function notify.require_adopted();
comment on trigger outbox_adopted on notify.outbox is 'One check per statement, for every writer: notify.emit, notify.retract, sends and social actions.';

create table notify.outbox_partitions (
  name text collate "C" primary key,
  from_id bigint not null,
  to_id bigint not null,
  filled_at timestamptz,
  filled_before xid8,
  constraint partition_not_empty check (from_id < to_id)
);
comment on table notify.outbox_partitions is 'The partitions of notify.outbox, by id range, made ahead and dropped by retention.';
comment on column notify.outbox_partitions.name is 'Table name in schema notify.';
comment on column notify.outbox_partitions.from_id is 'First id, inclusive.';
comment on column notify.outbox_partitions.to_id is 'Last id, exclusive.';
comment on column notify.outbox_partitions.filled_at is 'Time at which all its ids had been drawn.';
comment on column notify.outbox_partitions.filled_before is 'A transaction id above those of all its writers; a reader whose done snapshot has this as xmin or a later one has read the partition whole.';

create table notify.outbox_1 partition of notify.outbox for values from (1) to (2000001);
create table notify.outbox_2000001 partition of notify.outbox for values from (2000001) to (4000001);
create table notify.outbox_4000001 partition of notify.outbox for values from (4000001) to (6000001);
insert into notify.outbox_partitions (name, from_id, to_id)
values ('outbox_1', 1, 2000001), ('outbox_2000001', 2000001, 4000001), ('outbox_4000001', 4000001, 6000001);

create function notify.require_partition_name(log text, name text) returns void
  language plpgsql immutable
  set search_path = pg_catalog, pg_temp
as $$
begin
  if (log in ('outbox', 'delivery_log') and name ~ ('^' || log || '_[0-9]{1,20}$')) is not true then
    raise exception using errcode = 'invalid_parameter_value', message = format('notify: %s is no partition of %s', name, log);
  end if;
end $$;
comment on function notify.require_partition_name is 'Refuses (22023) anything but the name of a partition of outbox or delivery_log: the log, _ and digits.';

-- A role that people or processes use owns no table: triggers, defaults and policies of its table would run with the rights of other users
-- of the table. ravenpost_log, which nobody can be, owns the log (0008_roles), and these functions make and drop its partitions.
create function notify.attach_partition(log text, name text, range_from text, range_to text) returns void
  language plpgsql security definer
  set search_path = pg_catalog, pg_temp
as $$
begin
  perform notify.require_partition_name(log, name);
  execute format('create table if not exists notify.%I (like notify.%I including all)', name, log);
  execute format('alter table notify.%I attach partition notify.%I for values from (%L) to (%L)', log, name, range_from, range_to);
end $$;
comment on function notify.attach_partition is 'Makes a partition of outbox or delivery_log, from a bound (inclusive) to another (exclusive). First a plain table, then attached: attaching takes a lock that inserts do not wait for.';

create function notify.drop_partition(log text, name text) returns void
  language plpgsql security definer
  set search_path = pg_catalog, pg_temp
as $$
begin
  perform notify.require_partition_name(log, name);
  execute format('drop table if exists notify.%I', name);
end $$;
comment on function notify.drop_partition is 'Drops a partition of outbox or delivery_log, if it exists. It locks the whole log for a moment: set a short lock_timeout.';

create table notify.positions (
  consumer text collate "C" not null,
  lane smallint not null,
  critical boolean not null default false,
  shard_from smallint not null default 0,
  shard_to smallint not null default 31,
  from_id bigint not null default 0,
  adopted_id bigint not null default 0,
  done pg_snapshot not null default pg_current_snapshot(),
  target pg_snapshot,
  after_shard smallint,
  after_xid xid8,
  after_id bigint,
  moved_at timestamptz not null default now(),
  failures integer not null default 0,
  failing_since timestamptz,
  retry_at timestamptz,
  last_error text,
  paused_at timestamptz,
  paused_by text,
  primary key (consumer, lane),
  constraint after_inside_target
    check ((target is null) = (after_id is null) and (after_id is null) = (after_xid is null) and (after_id is null) = (after_shard is null))
) with (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0);
comment on table notify.positions is 'How far each lane of each consumer has read the log; moved in the transaction of the effects. A lane is held by locking its row. fillfactor 10 and eager autovacuum: six rows, updated by every batch.';
comment on column notify.positions.consumer is 'notifications or counters.';
comment on column notify.positions.lane is 'Number of the lane; 99 is the critical lane.';
comment on column notify.positions.critical is 'Whether this lane reads the critical events, and only those.';
comment on column notify.positions.shard_from is 'First shard of the lane.';
comment on column notify.positions.shard_to is 'Last shard of the lane.';
comment on column notify.positions.from_id is 'Events below this id do not concern this reader: read whole, or pending since an adoption. Prunes old partitions.';
comment on column notify.positions.adopted_id is 'First id since the database was last adopted: the transaction ids below are another cluster''s, and replay never goes there.';
comment on column notify.positions.done is 'Everything visible in this snapshot has been read.';
comment on column notify.positions.target is 'The slice being read: visible in target and not in done. Null between slices.';
comment on column notify.positions.after_shard is 'Shard of the last event read inside the slice.';
comment on column notify.positions.after_xid is 'Transaction of the last event read inside the slice.';
comment on column notify.positions.after_id is 'Id of the last event read inside the slice.';
comment on column notify.positions.moved_at is 'Time of the last move.';
comment on column notify.positions.failures is 'Failed runs since the lane last moved on.';
comment on column notify.positions.failing_since is 'Time of the first of these failures; null while the lane moves on.';
comment on column notify.positions.retry_at is 'Nobody reads the lane before this time.';
comment on column notify.positions.last_error is 'Error of the last failed run.';
comment on column notify.positions.paused_at is 'Nobody reads the lane since then: notify.pause_lanes. Null: it is read.';
comment on column notify.positions.paused_by is 'Role and application that paused it.';

-- Four lanes of eight shards, the critical lane, and the one lane of the counters.
insert into notify.positions (consumer, lane, critical, shard_from, shard_to)
values ('notifications', 0, false, 0, 7), ('notifications', 1, false, 8, 15), ('notifications', 2, false, 16, 23),
       ('notifications', 3, false, 24, 31), ('notifications', 99, true, 0, 31), ('counters', 0, false, 0, 31);

create table notify.pending (
  id bigint generated always as identity primary key,
  consumer text collate "C" not null,
  event_id bigint not null,
  recipient_id bigint,
  event jsonb not null,
  attempts integer not null default 0,
  due_at timestamptz not null default now(),
  last_error text,
  error_class text,
  created_at timestamptz not null default now(),
  dead_at timestamptz,
  constraint pending_once unique (event_id, consumer)
);
comment on table notify.pending is 'Events taken out of a batch: their content failed, another transaction held their inbox, or the database was adopted before they were read. Retried with backoff; a row with dead_at is a dead letter.';
comment on column notify.pending.id is 'Number of the row; names a dead letter.';
comment on column notify.pending.consumer is 'The consumer that still owes the effect.';
comment on column notify.pending.event_id is 'Id of the event.';
comment on column notify.pending.recipient_id is 'Recipient of the event.';
comment on column notify.pending.event is 'Copy of the event: the log may be dropped before it succeeds.';
comment on column notify.pending.attempts is 'Failed attempts so far.';
comment on column notify.pending.due_at is 'Time of the next attempt.';
comment on column notify.pending.last_error is 'Error of the last attempt.';
comment on column notify.pending.error_class is 'SQLSTATE or class of this error; null: none was thrown.';
comment on column notify.pending.created_at is 'Time at which it became pending.';
comment on column notify.pending.dead_at is 'Time at which the last attempt was used up; null: still retried.';

create index pending_due on notify.pending (due_at, id) where dead_at is null;
comment on index notify.pending_due is 'Events to retry, in order: an adoption makes a whole backlog due at once.';

create function notify.cause_of(error_class text, last_error text) returns text
  language sql immutable parallel safe
  return concat_ws(': ', error_class, left(regexp_replace(regexp_replace(last_error, '"[^"]*"|''[^'']*''', '…', 'g'), '[0-9a-f]{8}[0-9a-f-]+|[0-9]+', '#', 'gi'), 200));
comment on function notify.cause_of is 'What failures of one kind have in common: the class of the error, and its message without numbers and quoted parts.';

create index pending_dead on notify.pending (created_at) where dead_at is not null;
comment on index notify.pending_dead is 'Retention: dead letters by the age of their event, which a replay does not renew.';

create table notify.fan_outs (
  id bigint generated always as identity primary key,
  kind text collate "C" not null constraint fan_out_kind_known
    check (kind in ('retract_post', 'retract_comment', 'delete_user', 'publish_post', 'end_sources', 'retract_actor', 'show_post', 'show_comment',
                    'read_inbox', 'archive_inbox', 'delete_inbox', 'see_inbox', 'broadcast', 'recall_broadcast')),
  object_id bigint not null,
  actor_id bigint not null default 0,
  thread_key text collate "C",
  event jsonb,
  except_ids bigint[] not null default '{}',
  first_shard smallint not null default 0,
  last_shard smallint not null default 31,
  up_to bigint,
  cursor_user_id bigint not null default 0,
  attempts integer not null default 0,
  due_at timestamptz not null default now(),
  last_error text,
  created_at timestamptz not null default now(),
  finished_at timestamptz,
  constraint fan_out_once unique (kind, object_id, actor_id, last_shard)
);
comment on table notify.fan_outs is 'Long work done in chunks, each one transaction that moves the cursor. An audience has a row per lane, so that lanes are served side by side.';
comment on column notify.fan_outs.id is 'Number of the fan-out.';
comment on column notify.fan_outs.kind is 'retract_post, retract_comment: from every inbox. delete_user: clean-up. publish_post: notify an audience. end_sources: of large groups that were removed. retract_actor: a blocked user out of the blocker''s inbox. show_post, show_comment: a change of each notification that shows its beginning, which was edited. read_inbox, archive_inbox, delete_inbox, see_inbox: all of a large inbox. broadcast: notify an audience. recall_broadcast: retract that from every inbox.';
comment on column notify.fan_outs.object_id is 'The post, comment or user that was deleted; the post or comment that was edited; the post that was published; the user who owns the inbox; the broadcast.';
comment on column notify.fan_outs.actor_id is 'Of retract_actor: the blocked user. Of broadcast: the number of a part. Otherwise 0.';
comment on column notify.fan_outs.thread_key is 'The thread whose notifications are searched.';
comment on column notify.fan_outs.event is 'Of an audience: the event to append, without recipient. Of broadcast: which recipients the part has, {zones, unzoned, rest, expiresAt}. Otherwise null.';
comment on column notify.fan_outs.except_ids is 'Of an audience: users who get an event of their own, for a more specific reason. Of show_post and show_comment: users whose inbox was held, who come last.';
comment on column notify.fan_outs.first_shard is 'First shard of the row''s part of an audience.';
comment on column notify.fan_outs.last_shard is 'Last shard of the row''s part of an audience.';
comment on column notify.fan_outs.up_to is 'Of retract_actor: later events are not taken back. Drawn with the first chunk, or when the block ends before that.';
comment on column notify.fan_outs.cursor_user_id is 'Users up to this one are done; of an audience, those of the row''s shards. Of end_sources: tombstones up to this modseq; of retract_actor: notifications from this id on, 0 for none yet. Of read_inbox, archive_inbox, delete_inbox and see_inbox: what grew at or before this modseq is left.';
comment on column notify.fan_outs.attempts is 'Chunks that failed since the last one that succeeded.';
comment on column notify.fan_outs.due_at is 'Time of the next chunk: later after a failure.';
comment on column notify.fan_outs.last_error is 'Error of the last failed chunk.';
comment on column notify.fan_outs.created_at is 'Time of the commit of the deletion or the post.';
comment on column notify.fan_outs.finished_at is 'Time at which nothing was left to do, or the post was deleted before that.';

create index fan_outs_unfinished on notify.fan_outs (due_at) where finished_at is null;
comment on index notify.fan_outs_unfinished is 'Work left to do.';

create index fan_outs_by_age on notify.fan_outs (finished_at) where finished_at is not null;
comment on index notify.fan_outs_by_age is 'Retention: finished fan-outs.';

create table notify.workers (
  worker_id text collate "C" primary key,
  host text not null,
  pid integer not null,
  started_at timestamptz not null default now(),
  beat_at timestamptz not null default now()
) with (fillfactor = 20);
comment on table notify.workers is 'Worker processes and their heartbeats; the sweep unlocks the jobs of those that stopped.';
comment on column notify.workers.worker_id is 'Id under which graphile-worker locks jobs.';
comment on column notify.workers.host is 'Host name of the process.';
comment on column notify.workers.pid is 'Process id on that host.';
comment on column notify.workers.started_at is 'Start of the process.';
comment on column notify.workers.beat_at is 'Time of the last heartbeat.';

create table notify.maintenance (
  what text collate "C" primary key,
  lease text,
  held_until timestamptz not null default now(),
  finished_at timestamptz not null default now()
);
comment on table notify.maintenance is 'Work that one process at a time does: making and dropping partitions, under a lease; taking mails, under the lock of the row.';
comment on column notify.maintenance.what is 'Name of the work.';
comment on column notify.maintenance.lease is 'Token of the process that does it.';
comment on column notify.maintenance.held_until is 'End of the lease; past when the work is done. A process that dies keeps it for a minute at most.';
comment on column notify.maintenance.finished_at is 'Time it was last done. Processes warn when that is ten minutes ago.';

insert into notify.maintenance (what) values ('outbox partitions'), ('delivery log partitions'), ('mails');

create table notify.named_locks (
  name text collate "C" primary key,
  used_at timestamptz not null default now()
);
comment on table notify.named_locks is 'Rows to lock where no other row represents what is to be done alone: taking over a browser, storing a file, sending a source. Not advisory locks, which any other program could hold.';
comment on column notify.named_locks.name is 'browser:<id of the subscription>, media:<SHA-256>, or the source of a send.';
comment on column notify.named_locks.used_at is 'Time it was last locked; removed a day later.';

create index named_locks_by_age on notify.named_locks (used_at);
comment on index notify.named_locks_by_age is 'Retention.';
