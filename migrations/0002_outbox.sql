-- The log of events, the positions of its consumers, pending events and fan-outs.

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
comment on table notify.installation is 'Identity of the cluster to which the transaction ids in this database belong. Each new connection compares it with the cluster, and each API process once a second. After a restore, a copy or a promotion the database gets a new epoch.';
comment on column notify.installation.only_row is 'Always true: there is one row.';
comment on column notify.installation.epoch is 'First part of every state. A client whose state has another epoch fetches its list again.';
comment on column notify.installation.system_identifier is 'pg_control_system().system_identifier of the cluster.';
comment on column notify.installation.timeline is 'Timeline of the cluster: the first 8 characters of the names of its WAL files.';
comment on column notify.installation.database_oid is 'Oid of this database.';
comment on column notify.installation.table_oid is 'Oid of this table. A restored table has another oid, so a chance match of adopted_by and xmin does not count.';
comment on column notify.installation.adopted_by is 'The transaction that last wrote this row. In a restored or replicated row it differs from the row''s xmin, so the database must be adopted.';
comment on column notify.installation.adopted_at is 'Time of the creation, the last adoption, or the last change of epoch.';

insert into notify.installation (epoch, system_identifier, timeline, database_oid, table_oid, adopted_by)
select substr(md5(gen_random_uuid()::text), 1, 8),
       system_identifier,
       left(pg_walfile_name(pg_current_wal_lsn()), 8),
       (select oid from pg_database where datname = current_database()),
       'notify.installation'::regclass,
       pg_current_xact_id()
from pg_control_system();

-- is_adopted and require_adopted use plpgsql because it caches plans. In SQL they would be planned at each call, which takes five times
-- as long.
create function notify.is_adopted() returns boolean
  language plpgsql stable
as $$
begin
  return (select i.xmin = xid(i.adopted_by) and i.tableoid = i.table_oid and i.system_identifier = c.system_identifier
          from notify.installation i, pg_control_system() c);
end $$;
comment on function notify.is_adopted is 'True if the transaction ids in this database belong to its cluster. False after a restore or logical replication, until npm run migrate or the first start adopts the database. A promoted standby and a copy by template keep valid ids.';

create function notify.require_adopted() returns trigger
  language plpgsql
as $$
begin
  -- Does not compare the system identifier as is_adopted does: reading it from its file would take longer than the rest.
  if (select i.xmin = xid(i.adopted_by) and i.tableoid = i.table_oid from notify.installation i) then
    return null;
  end if;
  raise exception using errcode = 'object_not_in_prerequisite_state',
    message = 'notify: this database was restored or copied and is not adopted yet',
    hint = 'Run npm run migrate or start Ravenpost, then try again.';
end $$;
comment on function notify.require_adopted is 'Refuses events in a database that is not adopted: readers would compare their transaction ids with those of another cluster, and never read them.';

create sequence notify.outbox_id_seq as bigint cache 1;
comment on sequence notify.outbox_id_seq is 'Ids of events. Cache 1, so that the ids of two events about the same thing have the order of the events.';

-- The column xid precedes id, because defaults are evaluated in the order of columns: so a transaction has its transaction id before it draws
-- an id. A transaction id taken after the last id of a partition was drawn is therefore above those of all its writers (partitions.ts).
create table notify.outbox (
  xid xid8 not null default pg_current_xact_id(),
  id bigint not null default nextval('notify.outbox_id_seq'),
  recipient_id bigint,
  actor_id bigint,
  created_at timestamptz not null default now(),
  shard smallint not null generated always as (((hashint8(coalesce(recipient_id, actor_id, 0))::bigint + 2147483648) >> 27)::smallint) stored,
  critical boolean not null default false,
  counted boolean not null,
  retracts boolean not null default false,
  action text not null,
  source_id text not null constraint source_id_length check (length(source_id) between 1 and 300),
  type text,
  object_type text,
  object_id text,
  thread_key text,
  group_key text,
  data jsonb not null default '{}',
  request_id text,
  primary key (id),
  constraint recipient_has_type check (recipient_id is null or type is not null)
) partition by range (id);
comment on table notify.outbox is 'Append-only log of events: one row per action and recipient, written in the transaction of the action. Rows are never updated or deleted; retention drops partitions.';
comment on column notify.outbox.xid is 'The transaction that wrote the event. Readers compare it with the snapshots in notify.positions.';
comment on column notify.outbox.id is 'Id of the event, drawn while the row of the action is locked: of two events about the same object, the later one has the higher id.';
comment on column notify.outbox.shard is 'Shard of the recipient; without a recipient, shard of the actor.';
comment on column notify.outbox.critical is 'True if the event is read in the critical lane, ahead of any backlog.';
comment on column notify.outbox.counted is 'True on exactly one event per action: the event that moves counters.';
comment on column notify.outbox.action is 'Kind of action: like, comment, follow, post or send.';
comment on column notify.outbox.retracts is 'True if the action is undone, by an unlike, an unfollow or a deletion.';
comment on column notify.outbox.source_id is 'Stable name of the action, by which repeats are recognised: like:<post>:<user>, follow:<follower>:<followee>, comment:<id>, post:<id>.';
comment on column notify.outbox.type is 'Type of the notification, as in notify.types. Null: nobody is notified.';
comment on column notify.outbox.recipient_id is 'The user to notify; null: nobody is notified.';
comment on column notify.outbox.actor_id is 'The user who acted; null for a send without actor.';
comment on column notify.outbox.object_type is 'Kind of the object: post, comment, user, or a name that the sender chose.';
comment on column notify.outbox.object_id is 'Id of the object that the event is about.';
comment on column notify.outbox.thread_key is 'Key of the thread: post:<id> of the post below which the action happened. The deletion of the post finds its notifications by it.';
comment on column notify.outbox.group_key is 'Key of the group: events of one recipient with the same key become one notification while the group is open. Null: never grouped.';
comment on column notify.outbox.data is 'Data for clients and counters, such as postId, commentId, parentId. For a send: title, body, url, severity, priority, expiresAt, and the sender''s own data under data.';
comment on column notify.outbox.request_id is 'Id of the request that caused the event, for log searches.';
comment on column notify.outbox.created_at is 'Start of the transaction that wrote the event.';

create index outbox_by_shard on notify.outbox (shard, xid, id) where not critical;
comment on index notify.outbox_by_shard is 'Reads the events of a lane in order.';

create index outbox_critical on notify.outbox (xid, id) where critical;
comment on index notify.outbox_critical is 'Reads the events of the critical lane in order.';

create trigger outbox_adopted before insert on notify.outbox for each statement execute function notify.require_adopted();
comment on trigger outbox_adopted on notify.outbox is 'Checks once per statement, for all writers: notify.emit, notify.retract, sends and social actions.';

create table notify.outbox_partitions (
  name text collate "C" primary key,
  from_id bigint not null,
  to_id bigint not null,
  filled_at timestamptz,
  filled_before xid8,
  constraint partition_not_empty check (from_id < to_id)
);
comment on table notify.outbox_partitions is 'The partitions of notify.outbox by id range. They are created ahead and dropped by retention.';
comment on column notify.outbox_partitions.name is 'Table name in schema notify.';
comment on column notify.outbox_partitions.from_id is 'First id, inclusive.';
comment on column notify.outbox_partitions.to_id is 'Last id, exclusive.';
comment on column notify.outbox_partitions.filled_at is 'Time when the sequence passed the last id of the partition; null: not yet.';
comment on column notify.outbox_partitions.filled_before is 'A transaction id above all that wrote to the partition. A reader whose done snapshot has this or a later id as xmin has read the whole partition. Null: not filled yet.';

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
comment on function notify.require_partition_name is 'Accepts only the name of a partition: outbox or delivery_log, _ and digits. Raises 22023 for any other text.';

-- No role that people or processes use may own the log: an owner can add triggers, defaults and policies, which run with the rights of
-- anyone who uses the table. So ravenpost_log, which has no login and no members, owns it (0008_roles), and these functions create and drop
-- its partitions.
create function notify.attach_partition(log text, name text, range_from text, range_to text) returns void
  language plpgsql security definer
  set search_path = pg_catalog, pg_temp
as $$
begin
  perform notify.require_partition_name(log, name);
  execute format('create table if not exists notify.%I (like notify.%I including all)', name, log);
  if log = 'delivery_log' then -- as the log itself; `like` copies no replica identity
    execute format('alter table notify.%I replica identity full', name);
  end if;
  execute format('alter table notify.%I attach partition notify.%I for values from (%L) to (%L)', log, name, range_from, range_to);
end $$;
comment on function notify.attach_partition is 'Creates a partition of outbox or delivery_log, from a bound (inclusive) to another (exclusive). It creates a table and attaches it, because inserts do not wait for the lock of attaching.';

create function notify.drop_partition(log text, name text) returns void
  language plpgsql security definer
  set search_path = pg_catalog, pg_temp
as $$
begin
  perform notify.require_partition_name(log, name);
  execute format('drop table if exists notify.%I', name);
end $$;
comment on function notify.drop_partition is 'Drops a partition of outbox or delivery_log if it exists. This locks the whole log for a moment, so set a short lock_timeout.';

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
comment on table notify.positions is 'How far each consumer has read each lane of the log. A position moves in the transaction that applies the events; this transaction locks the row, so only one reads a lane. fillfactor 10 and frequent autovacuum, because there are six rows and every batch updates some.';
comment on column notify.positions.consumer is 'Name of the consumer: notifications or counters.';
comment on column notify.positions.lane is 'Number of the lane; 99 is the critical lane.';
comment on column notify.positions.critical is 'True if this lane reads the critical events, and only those.';
comment on column notify.positions.shard_from is 'First shard of the lane.';
comment on column notify.positions.shard_to is 'Last shard of the lane.';
comment on column notify.positions.from_id is 'Lowest id that this reader must read. Events below it are read, or pending since an adoption. Keeps old partitions out of queries.';
comment on column notify.positions.adopted_id is 'First id since the database was last adopted. Earlier events have transaction ids of another cluster, so a replay never includes them.';
comment on column notify.positions.done is 'Snapshot: all events visible in it have been read.';
comment on column notify.positions.target is 'Snapshot at the end of the slice being read: the events visible in it but not in done. Null between slices.';
comment on column notify.positions.after_shard is 'Shard of the last event read inside the slice; null: none was read.';
comment on column notify.positions.after_xid is 'Transaction of the last event read inside the slice; null: none was read.';
comment on column notify.positions.after_id is 'Id of the last event read inside the slice; null: none was read.';
comment on column notify.positions.moved_at is 'Time at which the position last moved.';
comment on column notify.positions.failures is 'Number of failed runs since the lane last made progress.';
comment on column notify.positions.failing_since is 'Time of the first of these failed runs; null: the last run succeeded.';
comment on column notify.positions.retry_at is 'Time before which nobody reads the lane; null: it may be read now.';
comment on column notify.positions.last_error is 'Error of the last failed run; null: the last run succeeded.';
comment on column notify.positions.paused_at is 'Time since which nobody reads the lane, set by notify.pause_lanes. Null: not paused.';
comment on column notify.positions.paused_by is 'Role and application that paused the lane. Null: not paused.';

-- For notifications: four lanes of eight shards, and the critical lane. For counters: one lane.
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
comment on table notify.pending is 'Events taken out of a batch, because their content failed, another transaction held their inbox, or the database was adopted before they were read. They are retried with backoff. A row with dead_at is a dead letter.';
comment on column notify.pending.id is 'Number of the row, by which a dead letter is replayed.';
comment on column notify.pending.consumer is 'The consumer that has yet to apply the event.';
comment on column notify.pending.event_id is 'Id of the event.';
comment on column notify.pending.recipient_id is 'Recipient of the event.';
comment on column notify.pending.event is 'Copy of the event, because the log may be dropped before a retry succeeds.';
comment on column notify.pending.attempts is 'Failed attempts so far.';
comment on column notify.pending.due_at is 'Time of the next attempt.';
comment on column notify.pending.last_error is 'Error of the last attempt; null: none was thrown.';
comment on column notify.pending.error_class is 'SQLSTATE or class of the last error. Null: none was thrown.';
comment on column notify.pending.created_at is 'Time at which the event became pending.';
comment on column notify.pending.dead_at is 'Time of the last possible attempt, which failed. Null: the event is still retried.';

create index pending_due on notify.pending (due_at, id) where dead_at is null;
comment on index notify.pending_due is 'Finds the events to retry, in order. An adoption makes a whole backlog due at once.';

create function notify.cause_of(error_class text, last_error text) returns text
  language sql immutable parallel safe
  return concat_ws(': ', error_class, left(regexp_replace(regexp_replace(last_error, '"[^"]*"|''[^'']*''', '…', 'g'), '[0-9a-f]{8}[0-9a-f-]+|[0-9]+', '#', 'gi'), 200));
comment on function notify.cause_of is 'Common cause of similar errors: the class of the error, and its message without numbers and quoted parts.';

create index pending_dead on notify.pending (created_at) where dead_at is not null;
comment on index notify.pending_dead is 'Finds expired dead letters for retention, by the age of their event, which a replay does not change.';

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
comment on table notify.fan_outs is 'Long work in chunks. Each chunk is one transaction, which moves the cursor. An audience has a row per lane, so that lanes are processed concurrently.';
comment on column notify.fan_outs.id is 'Number of the fan-out.';
comment on column notify.fan_outs.kind is 'retract_post, retract_comment: removes its notifications from every inbox. delete_user: removes the data of a user. publish_post, broadcast: notifies an audience. recall_broadcast: retracts a broadcast from every inbox. end_sources: retracts the sources of removed large groups. retract_actor: removes a blocked user from the inbox of the user who blocks. show_post, show_comment: marks each notification that shows an edited text as changed. read_inbox, archive_inbox, delete_inbox, see_inbox: changes a whole large inbox.';
comment on column notify.fan_outs.object_id is 'Id of what kind names: the deleted, edited or published post or comment, the deleted user, the owner of the inbox, or the broadcast.';
comment on column notify.fan_outs.actor_id is 'For retract_actor, the blocked user. For broadcast, the number of a part. Otherwise 0.';
comment on column notify.fan_outs.thread_key is 'Thread whose notifications are processed; null for kinds without one.';
comment on column notify.fan_outs.event is 'For publish_post, the event to append, without recipient. For broadcast, the recipients of the part: {zones, unzoned, rest, expiresAt}. Otherwise null.';
comment on column notify.fan_outs.except_ids is 'For publish_post, users who get an event of their own for a more specific reason. For show_post, show_comment and retract_comment, users whose inbox was held; they are processed last. For read_inbox, archive_inbox and delete_inbox, notifications that the user has unarchived or marked as unread since the request; they are left out.';
comment on column notify.fan_outs.first_shard is 'First shard of this part of an audience.';
comment on column notify.fan_outs.last_shard is 'Last shard of this part of an audience.';
comment on column notify.fan_outs.up_to is 'For retract_actor, id of the last event to retract. Drawn with the first chunk, or when the block ends before it. Null: not drawn yet, or another kind.';
comment on column notify.fan_outs.cursor_user_id is 'Last user that was processed; for an audience, within the shards of the row. end_sources: last modseq of a processed tombstone. retract_actor: first id of the notifications left, 0 before the first chunk. read_inbox, archive_inbox, delete_inbox, see_inbox: notifications whose grown_modseq is up to this are left.';
comment on column notify.fan_outs.attempts is 'Number of failed chunks since the last successful one.';
comment on column notify.fan_outs.due_at is 'Time of the next chunk; a failure delays it.';
comment on column notify.fan_outs.last_error is 'Error of the last failed chunk; null: none failed.';
comment on column notify.fan_outs.created_at is 'Commit time of the deletion, post or other cause.';
comment on column notify.fan_outs.finished_at is 'Time at which the work was complete, or the post was deleted before that. Null: unfinished.';

create index fan_outs_unfinished on notify.fan_outs (due_at) where finished_at is null;
comment on index notify.fan_outs_unfinished is 'Finds unfinished fan-outs.';

create index fan_outs_by_age on notify.fan_outs (finished_at) where finished_at is not null;
comment on index notify.fan_outs_by_age is 'Finds finished fan-outs for retention.';

create table notify.workers (
  worker_id text collate "C" primary key,
  host text not null,
  pid integer not null,
  started_at timestamptz not null default now(),
  beat_at timestamptz not null default now()
) with (fillfactor = 20);
comment on table notify.workers is 'Worker processes and their heartbeats. The sweep unlocks the jobs of workers without a recent heartbeat.';
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
comment on table notify.maintenance is 'Work that only one process does at a time: creating and dropping partitions, under a lease; taking mails, under the lock of the row.';
comment on column notify.maintenance.what is 'Name of the work.';
comment on column notify.maintenance.lease is 'Random token of the process that does the work; null: none does.';
comment on column notify.maintenance.held_until is 'End of the lease; in the past when the work is done. The lease of a dead process ends within a minute.';
comment on column notify.maintenance.finished_at is 'Time at which the work was last done. Processes warn when it is ten minutes ago.';

insert into notify.maintenance (what) values ('outbox partitions'), ('delivery log partitions'), ('mails');

create table notify.named_locks (
  name text collate "C" primary key,
  used_at timestamptz not null default now()
);
comment on table notify.named_locks is 'Rows that are locked for work that no other row represents: taking over a browser, storing a file, sending a source. Advisory locks would not do, because any other program could take them.';
comment on column notify.named_locks.name is 'Name of the lock: browser:<id of the subscription>, media:<SHA-256>, or the source of a send.';
comment on column notify.named_locks.used_at is 'Time of the last use; the row is removed a day later.';

create index named_locks_by_age on notify.named_locks (used_at);
comment on index notify.named_locks_by_age is 'Finds expired rows for retention.';
