-- Views and functions for operators.

create schema ops;
comment on schema ops is 'Views and functions for operators and the console, about the log, the jobs and the inboxes. Stores nothing.';

create view ops.lag as
select
  p.consumer,
  p.lane,
  p.critical,
  coalesce(e.events, 0) as events,
  e.oldest_at,
  now() - e.oldest_at as age,
  p.moved_at,
  pg_snapshot_xmin(p.done) as done_xmin,
  p.failing_since,
  p.last_error,
  p.paused_at,
  p.paused_by
from (
  select
    n.*,
    -- Transactions that were open when the last finished slice ended, and have ended since.
    array(select x from pg_snapshot_xip(n.done) x where pg_visible_in_snapshot(x, pg_current_snapshot())) as ended,
    (select last_value from notify.outbox_id_seq) as last_id
  from notify.positions n
) p
left join lateral (
  select count(*) as events, min(u.created_at) as oldest_at
  from (
    (select o.*
     from generate_series(p.shard_from::int, p.shard_to::int) s (shard)
     cross join lateral (
       (select o.shard, o.xid, o.id, o.counted, o.created_at
        from unnest(p.ended) x (xid)
        cross join lateral (
          select *
          from notify.outbox o
          where o.shard = s.shard and not o.critical and o.id >= p.from_id and o.id <= any (array[p.last_id]) and o.xid = x.xid
          order by o.xid, o.id
          limit 10001
        ) o)
       union all
       (select o.shard, o.xid, o.id, o.counted, o.created_at
        from notify.outbox o
        where o.shard = s.shard and not o.critical and o.id >= p.from_id and o.id <= any (array[p.last_id])
          and o.xid >= pg_snapshot_xmax(p.done)
        order by o.xid, o.id
        limit 10001)
     ) o
     where not p.critical
       and not coalesce(pg_visible_in_snapshot(o.xid, p.target) and (o.shard, o.xid, o.id) <= (p.after_shard, p.after_xid, p.after_id), false)
     limit 10001)
    union all
    (select o.*
     from (
       (select o.shard, o.xid, o.id, o.counted, o.created_at
        from unnest(p.ended) x (xid)
        cross join lateral (
          select *
          from notify.outbox o
          where o.critical and o.id >= p.from_id and o.id <= any (array[p.last_id]) and o.xid = x.xid
          order by o.xid, o.id
          limit 10001
        ) o)
       union all
       (select o.shard, o.xid, o.id, o.counted, o.created_at
        from notify.outbox o
        where o.critical and o.id >= p.from_id and o.id <= any (array[p.last_id]) and o.xid >= pg_snapshot_xmax(p.done)
        order by o.xid, o.id
        limit 10001)
     ) o
     where p.critical and not coalesce(pg_visible_in_snapshot(o.xid, p.target) and (o.xid, o.id) <= (p.after_xid, p.after_id), false)
     limit 10001)
  ) u
  where p.consumer <> 'counters' or u.counted
) e on true;
comment on view ops.lag is 'Committed events that each lane has not read yet, and the age of the oldest. Counting stops at 10,001, which means that many or more; the oldest is then the oldest of those counted.';
comment on column ops.lag.consumer is 'Name of the consumer: notifications or counters.';
comment on column ops.lag.lane is 'Number of the lane.';
comment on column ops.lag.critical is 'True for the critical lane.';
comment on column ops.lag.events is 'Number of unread events; 10001: that many or more.';
comment on column ops.lag.oldest_at is 'Time of the oldest unread event; null: there is none.';
comment on column ops.lag.age is 'Age of the oldest unread event; null: there is none.';
comment on column ops.lag.moved_at is 'Time at which the position last moved.';
comment on column ops.lag.done_xmin is 'Oldest transaction that was open when the last finished slice ended.';
comment on column ops.lag.failing_since is 'Time of the first failure. Null: the last run succeeded.';
comment on column ops.lag.last_error is 'Error of the last failed run; null: the last run succeeded.';
comment on column ops.lag.paused_at is 'Time since which the lane is paused. Null: not paused. notify.resume_lanes ends it.';
comment on column ops.lag.paused_by is 'Role and application that paused the lane. Null: not paused.';

create view ops.jobs as
select
  task_identifier as task,
  case
    when locked_at is not null then 'running'
    when attempts >= max_attempts then 'failed'
    when run_at <= now() then 'ready'
    when attempts > 0 then 'retrying'
    else 'scheduled'
  end as state,
  count(*) as jobs,
  min(run_at) as oldest_run_at,
  max(attempts) as most_attempts,
  max(last_error) as an_error
from graphile_worker.jobs
group by 1, 2;
comment on view ops.jobs is 'Jobs of graphile-worker by task and state. Jobs are hints: the work itself is in tables. A dispatch_outbox job of each busy worker runs for up to ten minutes.';
comment on column ops.jobs.task is 'Name of the task: a file in workers/.';
comment on column ops.jobs.state is 'running, ready, scheduled, retrying or failed.';
comment on column ops.jobs.jobs is 'Number of jobs.';
comment on column ops.jobs.oldest_run_at is 'Scheduled time of the oldest job.';
comment on column ops.jobs.most_attempts is 'Highest number of attempts of one of the jobs.';
comment on column ops.jobs.an_error is 'Last error of one of the jobs; null: none failed.';

create view ops.workers as
select
  w.worker_id,
  w.host,
  w.pid,
  w.started_at,
  w.beat_at,
  now() - w.beat_at as silent_for,
  (select count(*) from graphile_worker.jobs j where j.locked_by = w.worker_id) as jobs_locked
from notify.workers w;
comment on view ops.workers is 'Worker processes, their last heartbeat, and the number of jobs they have locked.';
comment on column ops.workers.worker_id is 'Id under which graphile-worker locks jobs.';
comment on column ops.workers.host is 'Host name of the process.';
comment on column ops.workers.pid is 'Process id on that host.';
comment on column ops.workers.started_at is 'Start of the process.';
comment on column ops.workers.beat_at is 'Time of the last heartbeat.';
comment on column ops.workers.silent_for is 'Time since the last heartbeat. After 10 s the worker''s jobs are unlocked.';
comment on column ops.workers.jobs_locked is 'Number of jobs that the worker has locked.';

create view ops.pending as
select
  id,
  consumer,
  event_id,
  recipient_id,
  event ->> 'sourceId' as source_id,
  attempts,
  due_at,
  last_error,
  created_at
from notify.pending
where dead_at is null;
comment on view ops.pending is 'Events that wait for another attempt.';
comment on column ops.pending.id is 'Number of the row.';
comment on column ops.pending.consumer is 'The consumer that has yet to apply the event.';
comment on column ops.pending.event_id is 'Id of the event.';
comment on column ops.pending.recipient_id is 'Recipient of the event.';
comment on column ops.pending.source_id is 'Source of the event.';
comment on column ops.pending.attempts is 'Failed attempts so far.';
comment on column ops.pending.due_at is 'Time of the next attempt.';
comment on column ops.pending.last_error is 'Error of the last attempt.';
comment on column ops.pending.created_at is 'Time at which the event became pending.';

create view ops.dead_letters as
select
  id,
  consumer,
  event_id,
  recipient_id,
  event ->> 'sourceId' as source_id,
  event ->> 'type' as type,
  attempts,
  notify.cause_of(error_class, last_error) as cause,
  last_error,
  created_at,
  dead_at,
  event
from notify.pending
where dead_at is not null;
comment on view ops.dead_letters is 'Events whose last attempt failed. select notify.replay_dead_letter(id) retries one.';
comment on column ops.dead_letters.id is 'Number of the dead letter.';
comment on column ops.dead_letters.consumer is 'The consumer that has yet to apply the event.';
comment on column ops.dead_letters.event_id is 'Id of the event.';
comment on column ops.dead_letters.recipient_id is 'Recipient of the event.';
comment on column ops.dead_letters.source_id is 'Source of the event.';
comment on column ops.dead_letters.type is 'Type of the notification.';
comment on column ops.dead_letters.attempts is 'Number of attempts.';
comment on column ops.dead_letters.cause is 'Common cause: class of the error, and its message without numbers and quoted parts. Dead letters with the same cause can be replayed together.';
comment on column ops.dead_letters.last_error is 'Error of the last attempt.';
comment on column ops.dead_letters.created_at is 'Time at which the event became pending.';
comment on column ops.dead_letters.dead_at is 'Time at which the event became a dead letter.';
comment on column ops.dead_letters.event is 'Copy of the event.';

create view ops.unreached as
select recipient_id, source_id, retracts, type, created_at
from notify.unreached;
comment on view ops.unreached is 'Sends and retractions of the last 30 days to recipients without an inbox: no user has this id, or the user was deleted. notify.emit and notify.retract do not count them as accepted.';
comment on column ops.unreached.recipient_id is 'Requested recipient; no user with an inbox has this id.';
comment on column ops.unreached.source_id is 'Source of the send.';
comment on column ops.unreached.retracts is 'True if it was a retraction.';
comment on column ops.unreached.type is 'Type of the notification.';
comment on column ops.unreached.created_at is 'Time of the first such send or retraction.';

create view ops.senders as
select
  o.door,
  case
    when o.door = 'sql' then substring(o.source_id from '^sql:("(?:[^"]|"")*"|[^:]+):')
    when o.source_id ~ '^send:new:[0-9]{1,18}$' then (select s.sender from notify.sends s where s.id = substr(o.source_id, 10)::bigint)
    when o.door = 'api' then substring(o.source_id from '^send:([a-z-]+:[0-9]+):')
  end as sender,
  o.type,
  count(*) as events,
  min(o.created_at) as oldest_at,
  max(o.created_at) as newest_at
from (
  select
    case when n.source_id like 'sql:%' then 'sql' when n.source_id like 'send:%' then 'api' else n.action end as door,
    n.source_id,
    n.type,
    n.created_at
  from notify.outbox n
  order by n.id desc
  limit 10000
) o
group by 1, 2, 3;
comment on view ops.senders is 'Shows who wrote the newest 10,000 events of the log: which role by notify.emit and notify.retract, which user or token by the API, and how many by social actions.';
comment on column ops.senders.door is 'sql: notify.emit and notify.retract. api: POST /notifications/send. Otherwise the name of the action, such as like or broadcast.';
comment on column ops.senders.sender is 'Database role of sql; user:<id> or token:<id> of api. Null for actions.';
comment on column ops.senders.type is 'Type of the notification. Null: none.';
comment on column ops.senders.events is 'Number of events, one per recipient.';
comment on column ops.senders.oldest_at is 'Time of the oldest of these events.';
comment on column ops.senders.newest_at is 'Time of the newest of these events.';

create view ops.failing_windows as
select
  w.user_id,
  w.group_key,
  w.filter,
  w.type,
  w.attempts,
  w.last_error,
  w.opened_at,
  w.due_at,
  (select count(*) from notify.sources s where s.user_id = w.user_id and s.waits_for = w.group_key and s.waits_filter = w.filter) as waiting
from notify.windows w
where w.attempts > 0;
comment on view ops.failing_windows is 'Windows whose end could not be processed: their sources wait until an attempt succeeds. Attempts continue forever, finally once an hour. update notify.windows set due_at = now() starts one at once.';
comment on column ops.failing_windows.user_id is 'Owner of the inbox.';
comment on column ops.failing_windows.group_key is 'Key of the group.';
comment on column ops.failing_windows.filter is 'Reason why the sources of the group are filtered; none: not filtered.';
comment on column ops.failing_windows.type is 'Type of the notifications of the group.';
comment on column ops.failing_windows.attempts is 'Number of failed attempts; 12 take some three hours.';
comment on column ops.failing_windows.last_error is 'Error of the last attempt.';
comment on column ops.failing_windows.opened_at is 'Time at which the first source began to wait.';
comment on column ops.failing_windows.due_at is 'Time of the next attempt.';
comment on column ops.failing_windows.waiting is 'Number of sources that wait in the window.';

create view ops.unreadable_notifications as
select
  n.user_id,
  n.id,
  n.type,
  n.created_at,
  n.expires_at,
  case when jsonb_typeof(n.data) <> 'object' then 'data are no object' else 'a time that RFC 3339 cannot express' end as reason
from notify.notifications n
where jsonb_typeof(n.data) <> 'object'
   or least(n.created_at, n.updated_at, n.expires_at, n.delivered_at, n.read_at, n.archived_at) < '0001-01-01 00:00+00'
   or greatest(n.created_at, n.updated_at, n.expires_at, n.delivered_at, n.read_at, n.archived_at) >= '10000-01-01 00:00+00';
comment on view ops.unreadable_notifications is 'Notifications that cannot be shown as stored: the API shows the nearest valid time, and no data. The API never writes such a row; it was written by hand or restored from a dump. Update it, or delete it with notify.retract. Reads all of notify.notifications.';
comment on column ops.unreadable_notifications.user_id is 'Owner of the inbox.';
comment on column ops.unreadable_notifications.id is 'Id of the notification, unique within its user.';
comment on column ops.unreadable_notifications.type is 'Type of the notification.';
comment on column ops.unreadable_notifications.created_at is 'Time of creation.';
comment on column ops.unreadable_notifications.expires_at is 'Time after which retention removes the notification.';
comment on column ops.unreadable_notifications.reason is 'The part that cannot be shown.';

create view ops.held_locks as
with held as (
  select
    l.pid,
    l.virtualtransaction as transaction,
    array_agg(distinct l.relation::regclass || ' ' || l.mode) as locks
  from pg_locks l
  join pg_class c on c.oid = l.relation
  where l.granted
    and l.database = (select oid from pg_database where datname = current_database())
    and c.relnamespace in (select oid from pg_namespace where nspname in ('social', 'notify', 'graphile_worker'))
    and c.relkind in ('r', 'p')
    and l.pid is distinct from pg_backend_pid()
  group by l.pid, l.virtualtransaction
), waits as (
  select blocker as pid, array_agg(w.pid order by w.pid) as waiting
  from (select distinct pid from pg_locks where not granted) w
  cross join unnest(pg_blocking_pids(w.pid)) blocker
  group by blocker
)
select
  h.pid,
  h.transaction,
  coalesce(a.usename, x.owner)::text as role,
  coalesce(a.application_name, 'prepared transaction ' || x.gid) as application,
  a.state,
  coalesce(a.xact_start, x.prepared) as since,
  h.locks,
  coalesce(w.waiting, '{}') as waiting,
  w.waiting is not null or exists (select from unnest(h.locks) k (lock) where k.lock !~ ' (AccessShare|ShareUpdateExclusive)Lock$') as holds_up
from held h
left join pg_stat_activity a on a.pid = h.pid
left join (
  select l.virtualtransaction as transaction, p.gid, p.owner, p.prepared
  from pg_prepared_xacts p
  join pg_locks l on l.transactionid = p.transaction and l.locktype = 'transactionid' and l.pid is null
) x on h.pid is null and x.transaction = h.transaction
left join waits w on w.pid = coalesce(h.pid, 0);
comment on view ops.held_locks is 'Transactions that hold locks on our tables, and the processes that wait for these locks. To end one: pg_terminate_backend(pid), or rollback prepared.';
comment on column ops.held_locks.pid is 'Process id of the session at the server. Null: a prepared transaction.';
comment on column ops.held_locks.transaction is 'Virtual transaction id, the same while the transaction is open.';
comment on column ops.held_locks.role is 'Role that connected.';
comment on column ops.held_locks.application is 'application_name of the session; those of Ravenpost begin with ravenpost.';
comment on column ops.held_locks.state is 'State as in pg_stat_activity. Null: the reader''s role may not see it (pg_read_all_stats).';
comment on column ops.held_locks.since is 'Start of the transaction. Null: the reader''s role may not see it (pg_read_all_stats).';
comment on column ops.held_locks.locks is 'Tables and lock modes. A transaction that locks rows has RowShareLock or RowExclusiveLock on their table.';
comment on column ops.held_locks.waiting is 'Process ids that wait for one of these locks.';
comment on column ops.held_locks.holds_up is 'False for readers, dumps and vacuum while nothing waits for them: they block only migrations and the removal of old partitions.';

create view ops.count_drift as
select 'posts.like_count' as counter, p.id, p.like_count as folded, coalesce(c.n, 0) as counted
from social.posts p
left join (select post_id, count(*) as n from social.likes group by 1) c on c.post_id = p.id
where p.deleted_at is null and p.like_count <> coalesce(c.n, 0)
union all
select 'posts.comment_count', p.id, p.comment_count, coalesce(c.n, 0)
from social.posts p
left join (select post_id, count(*) as n from social.comments where deleted_at is null group by 1) c on c.post_id = p.id
where p.deleted_at is null and p.comment_count <> coalesce(c.n, 0)
union all
select 'comments.reply_count', p.id, p.reply_count, coalesce(c.n, 0)
from social.comments p
join social.posts o on o.id = p.post_id and o.deleted_at is null
left join (
  select parent_id, count(*) as n from social.comments where deleted_at is null and parent_id is not null group by 1
) c on c.parent_id = p.id
where p.deleted_at is null and p.reply_count <> coalesce(c.n, 0)
union all
select 'users.follower_count', u.id, u.follower_count, coalesce(c.n, 0)
from social.users u
left join (select followee_id, count(*) as n from social.follows group by 1) c on c.followee_id = u.id
where u.deleted_at is null and u.follower_count <> coalesce(c.n, 0)
union all
select 'users.following_count', u.id, u.following_count, coalesce(c.n, 0)
from social.users u
left join (select follower_id, count(*) as n from social.follows group by 1) c on c.follower_id = u.id
where u.deleted_at is null and u.following_count <> coalesce(c.n, 0)
union all
select 'users.post_count', u.id, u.post_count, coalesce(c.n, 0)
from social.users u
left join (select author_id, count(*) as n from social.posts where deleted_at is null group by 1) c on c.author_id = u.id
where u.deleted_at is null and u.post_count <> coalesce(c.n, 0)
union all
select 'inbox.unread_count', i.user_id, i.unread_count, coalesce(c.n, 0)
from notify.inbox i
left join (
  select user_id, count(*) as n
  from notify.notifications
  where read_at is null and archived_at is null and not filtered
  group by 1
) c on c.user_id = i.user_id
where i.unread_count <> coalesce(c.n, 0)
union all
select 'inbox.unseen_count', i.user_id, i.unseen_count, coalesce(c.n, 0)
from notify.inbox i
left join (
  select n.user_id, count(*) as n
  from notify.notifications n
  join notify.inbox b on b.user_id = n.user_id
  where n.grown_modseq > b.seen_modseq and n.read_at is null and n.archived_at is null and not n.filtered
  group by 1
) c on c.user_id = i.user_id
where i.unseen_count <> coalesce(c.n, 0)
union all
select 'notifications.actor_count', n.user_id, n.actor_count, coalesce(c.n, 0)
from notify.notifications n
left join (
  select user_id, notification_id, count(distinct nullif(actor_id, 0)) as n from notify.sources where live group by 1, 2
) c on c.user_id = n.user_id and c.notification_id = n.id
where n.actor_count <> coalesce(c.n, 0);
comment on view ops.count_drift is 'Stored counts that differ from a recount. Empty once the consumer counters has read the whole log; counts of inboxes are right in every snapshot. The recount reads everything, which takes minutes on a large database.';
comment on column ops.count_drift.counter is 'Table and column of the counter.';
comment on column ops.count_drift.id is 'Id of the post, comment or user.';
comment on column ops.count_drift.folded is 'Stored value of the counter.';
comment on column ops.count_drift.counted is 'Value of the recount.';

create function ops.inbox_of(username text)
  returns table (
    id bigint,
    type text,
    actors text,
    actor_count integer,
    object text,
    modseq bigint,
    grown_modseq bigint,
    read boolean,
    archived boolean,
    delivered boolean,
    open boolean,
    updated_at timestamptz
  )
  language sql stable
  begin atomic
    select
      n.id,
      n.type,
      (select string_agg(a.username, ', ' order by k.place)
       from unnest(n.actor_ids) with ordinality k (actor_id, place)
       join social.users a on a.id = k.actor_id
       where k.place <= 3),
      n.actor_count,
      n.object_type || ':' || n.object_id,
      n.modseq,
      n.grown_modseq,
      n.read_at is not null,
      n.archived_at is not null,
      n.delivered_at is not null,
      n.closed_at is null,
      n.updated_at
    from notify.notifications n
    where n.user_id = (select u.id from social.users u where u.username = inbox_of.username)
    order by n.grown_modseq desc;
  end;
comment on function ops.inbox_of is 'The inbox of the user with this username, newest first, as the user sees it.';

create view ops.deliveries as
select
  d.user_id,
  nullif(d.notification_id, 0) as notification_id,
  d.channel,
  case when d.notification_id = 0 then 'account mail ' || d.target else d.target end as target,
  d.state,
  d.reason,
  d.attempts,
  d.last_error,
  d.queued_at,
  d.due_at,
  case when d.due_at < now() then now() - d.due_at end as overdue,
  d.updated_at,
  d.send_id
from notify.deliveries d;
comment on view ops.deliveries is 'Mails and pushes that wait, and those of the last 90 days. Use where overdue > interval ''1 minute'' to find those delayed by a provider or a missing worker, and where state in (''failed'', ''bounced'') to find those that will not be tried again.';
comment on column ops.deliveries.user_id is 'The recipient.';
comment on column ops.deliveries.notification_id is 'The notification. Null: a mail about the account.';
comment on column ops.deliveries.channel is 'Channel: email or webPush.';
comment on column ops.deliveries.target is 'primary for the account''s address, the id of a push subscription, or the kind of a mail about the account.';
comment on column ops.deliveries.state is 'State as in notify.deliveries.';
comment on column ops.deliveries.reason is 'Why the message was skipped, deferred or cancelled, as in notify.deliveries. Null: it was not.';
comment on column ops.deliveries.attempts is 'Number of attempts.';
comment on column ops.deliveries.last_error is 'Error of the last failed attempt; null: none.';
comment on column ops.deliveries.queued_at is 'Time at which the message was queued.';
comment on column ops.deliveries.due_at is 'Time of the next attempt, or end of the lease of the worker that sends the message. Null: finished.';
comment on column ops.deliveries.overdue is 'Time since the message became due. Null: it is not due.';
comment on column ops.deliveries.updated_at is 'Time of the last change of state.';
comment on column ops.deliveries.send_id is 'Id of the message at the provider. Null: not tried yet.';

create view ops.webhooks as
select
  w.id,
  substring(w.endpoint from '^https?://[^/?#]+') as host,
  w.events,
  w.description,
  case when w.disabled_at is not null then 'disabled' when w.failing_since is not null then 'failing' else 'enabled' end as state,
  w.disabled_because,
  w.disabled_at,
  w.failing_since,
  w.failures,
  w.paused_until,
  w.last_error,
  (select count(*)
   from (select from notify.webhook_deliveries d where d.webhook_id = w.id and d.due_at is not null limit 10001) d) as waiting,
  (select now() - d.created_at
   from notify.webhook_deliveries d where d.webhook_id = w.id and d.due_at is not null order by d.due_at, d.id limit 1) as oldest_age,
  (select count(*) from notify.webhook_deliveries d where d.webhook_id = w.id and d.state = 'sending') as sending,
  w.created_at
from notify.webhooks w;
comment on view ops.webhooks is 'Endpoints that receive events, and their waiting messages. Use where state <> ''enabled'' or oldest_age > interval ''1 minute'' to find those that need attention.';
comment on column ops.webhooks.id is 'Id of the endpoint.';
comment on column ops.webhooks.host is 'Scheme, host and port of the URL. The path is left out, because it may contain a secret of the receiver.';
comment on column ops.webhooks.events is 'Types of events that the endpoint receives.';
comment on column ops.webhooks.description is 'Description for people.';
comment on column ops.webhooks.state is 'enabled, failing (the last attempt failed) or disabled.';
comment on column ops.webhooks.disabled_because is 'Why it is disabled. byHand: by an administrator; gone: it answered 410; failing: it accepted nothing for three days. Null: enabled.';
comment on column ops.webhooks.disabled_at is 'Time at which it was disabled. Null: enabled.';
comment on column ops.webhooks.failing_since is 'Time of the first failed attempt since the last successful one. Null: the last attempt succeeded.';
comment on column ops.webhooks.failures is 'Number of failed attempts since the last successful one.';
comment on column ops.webhooks.paused_until is 'Time before which nothing is sent. Null: no pause.';
comment on column ops.webhooks.last_error is 'Error of the last failed attempt; null: none.';
comment on column ops.webhooks.waiting is 'Number of messages not sent yet; 10001: that many or more.';
comment on column ops.webhooks.oldest_age is 'Age of the message that is sent next; null: none waits.';
comment on column ops.webhooks.sending is 'Number of messages being sent.';
comment on column ops.webhooks.created_at is 'Time at which the endpoint was created.';

create view ops.fan_outs as
select
  f.id,
  f.kind,
  case
    when f.kind in ('retract_post', 'publish_post') then 'post ' || f.object_id
    when f.kind = 'retract_comment' then 'comment ' || f.object_id
    when f.kind in ('broadcast', 'recall_broadcast') then 'broadcast ' || f.object_id
    else 'user ' || f.object_id
  end as subject,
  nullif(f.actor_id, 0) as actor_id,
  f.first_shard,
  f.last_shard,
  f.cursor_user_id as cursor,
  f.attempts,
  f.last_error,
  f.created_at,
  f.due_at,
  case when f.finished_at is null and f.due_at < now() then now() - f.due_at end as overdue,
  f.finished_at
from notify.fan_outs f;
comment on view ops.fan_outs is 'Long work done in chunks: notifying audiences, deletions, blocks, changes of large inboxes. Finished work is listed for 30 days; where finished_at is null finds the rest.';
comment on column ops.fan_outs.id is 'Number of the fan-out.';
comment on column ops.fan_outs.kind is 'Kind of work, as in notify.fan_outs.';
comment on column ops.fan_outs.subject is 'The post, comment, user or broadcast that it is about.';
comment on column ops.fan_outs.actor_id is 'For retract_actor: the blocked user.';
comment on column ops.fan_outs.first_shard is 'First shard of this part of an audience.';
comment on column ops.fan_outs.last_shard is 'Last shard of this part of an audience.';
comment on column ops.fan_outs.cursor is 'Position of the work, as in notify.fan_outs.cursor_user_id.';
comment on column ops.fan_outs.attempts is 'Number of failed chunks since the last successful one.';
comment on column ops.fan_outs.last_error is 'Error of the last failed chunk; null: none failed.';
comment on column ops.fan_outs.created_at is 'Time at which it was requested.';
comment on column ops.fan_outs.due_at is 'Time of the next chunk.';
comment on column ops.fan_outs.overdue is 'Time since the next chunk became due. Null: it is not due.';
comment on column ops.fan_outs.finished_at is 'Time at which the work was complete. Null: unfinished.';

create table notify.settings (
  role text collate "C" not null,
  name text collate "C" not null,
  value text not null,
  set_by text not null,
  written_at timestamptz not null default now(),
  primary key (role, name)
);
comment on table notify.settings is 'Retention times and limits in force. Each process writes them at its start.';
comment on column notify.settings.role is 'Role of the process: all, api, worker or push.';
comment on column notify.settings.name is 'Name of the limit or retention time.';
comment on column notify.settings.value is 'Value with its unit.';
comment on column notify.settings.set_by is 'Where the value is set: the name of an environment variable, or fixed (constant in the code).';
comment on column notify.settings.written_at is 'Start of the process that wrote the row. If several processes have the role, the last one counts.';

create table notify.processes (
  id text collate "C" primary key,
  role text not null,
  host text not null,
  pid integer not null,
  started_at timestamptz not null default now(),
  beat_at timestamptz not null default now(),
  memory_bytes bigint not null,
  figures jsonb not null default '{}',
  breakers jsonb not null default '[]'
) with (fillfactor = 20);
comment on table notify.processes is 'Processes of every role and their heartbeats, for the console. Rows without a heartbeat for ten minutes are removed.';
comment on column notify.processes.id is 'Random id, new at each start.';
comment on column notify.processes.role is 'Role of the process: all, api, worker or push.';
comment on column notify.processes.host is 'Host name of the process.';
comment on column notify.processes.pid is 'Process id on that host.';
comment on column notify.processes.started_at is 'Start of the process.';
comment on column notify.processes.beat_at is 'Time of the last heartbeat.';
comment on column notify.processes.memory_bytes is 'Resident memory in bytes.';
comment on column notify.processes.figures is 'Numbers since the previous heartbeat: share of a processor, delay of the event loop, sockets, and events, frames and acknowledgements per second.';
comment on column notify.processes.breakers is 'Circuit breakers of the process: [{name, closed}], where closed is the number of seconds until an open one lets the next message through.';

create view ops.settings as
select s.role, s.name, s.value, s.set_by, s.written_at
from notify.settings s
union all
select
  null,
  v.name || ' of ' || t.type,
  v.value,
  'notify.types',
  t.updated_at
from notify.types t
cross join lateral (
  values
    ('retention', t.retention::text),
    ('window', t.window_seconds || ' s'),
    ('shown before a window opens', t.instant_threshold::text),
    ('people in one group', t.max_group_size::text)
) v (name, value);
comment on view ops.settings is 'Every retention time and limit in force, and where it is set. If the roles differ, they were started with different environment variables.';
comment on column ops.settings.role is 'Role of the processes to which it applies. Null: all roles.';
comment on column ops.settings.name is 'Name of the limit or retention time.';
comment on column ops.settings.value is 'Value with its unit.';
comment on column ops.settings.set_by is 'Where the value is set: the name of an environment variable, notify.types (changed by PATCH /admin/notification-types), or fixed (constant in the code).';
comment on column ops.settings.written_at is 'Start of the process that wrote it, or time of the last change of the type.';

create view ops.audit_breaks as
with entries as (
  select
    a.id,
    a.at,
    a.actor,
    a.action,
    a.previous,
    a.hash,
    notify.audit_hash(a) as computed,
    coalesce(lag(a.id) over chain, c.first_id - 1) as id_before,
    coalesce(lag(a.hash) over chain, c.first_previous) as hash_before
  from notify.audit a
  cross join notify.audit_chain c
  window chain as (order by a.id, a.at)
)
select
  id,
  at,
  actor,
  action,
  case
    when hash <> computed then 'the row was changed'
    when id <> id_before + 1 then 'rows before it were removed or added'
    else 'the row before it was replaced'
  end as reason
from entries
where hash <> computed or id <> id_before + 1 or previous <> hash_before
union all
select c.last_id, c.last_at, null, null, 'the newest rows were removed or replaced'
from notify.audit_chain c
where c.last_hash <> coalesce((select a.hash from notify.audit a order by a.id desc limit 1), c.first_previous);
comment on view ops.audit_breaks is 'Rows of notify.audit that were changed, removed or added by hand. Empty while the chain of hashes is intact. Computes the hash of every row.';
comment on column ops.audit_breaks.id is 'Number of the row.';
comment on column ops.audit_breaks.at is 'Time of the recorded change.';
comment on column ops.audit_breaks.actor is 'Who made the recorded change.';
comment on column ops.audit_breaks.action is 'Kind of the recorded change.';
comment on column ops.audit_breaks.reason is 'What is wrong with the row.';

-- Settings as of our own connections: planned for few pages, and without compiling.
create function ops.check(patience interval default '1 minute')
  returns table (name text, ok boolean, detail text, hint text)
  language sql stable
  set jit = off set enable_seqscan = off set random_page_cost = 1.1
  begin atomic
    with lag as materialized (
      select l.consumer || '/' || l.lane as lane, l.consumer, l.events, l.age, l.failing_since, l.last_error, l.paused_at, l.paused_by
      from ops.lag l
    ), recent as materialized (
      select o.recipient_id, o.type, o.object_type, o.object_id from notify.outbox o order by o.id desc limit 200
    ), wrong_counts as (
      select format('inbox %s has %s unread, not %s', i.user_id, c.n, i.unread_count) as line
      from (select distinct e.recipient_id from recent e) r
      cross join lateral (select b.user_id, b.unread_count from notify.inbox b where b.user_id = r.recipient_id and b.unread_count <= 1000 limit 1) i
      cross join lateral (
        select count(*) as n
        from notify.notifications n
        where n.user_id = i.user_id and n.read_at is null and n.archived_at is null and not n.filtered
      ) c
      where i.unread_count <> c.n
      union all
      select format('post %s has %s likes, not %s', p.id, c.n, p.like_count)
      from (select distinct e.object_id::bigint as id from recent e where e.type = 'post.liked' and e.object_type = 'post') r
      cross join lateral (
        select q.id, q.like_count from social.posts q where q.id = r.id and q.deleted_at is null and q.like_count <= 1000 limit 1
      ) p
      cross join lateral (select count(*) as n from social.likes k where k.post_id = p.id) c
      where p.like_count <> c.n and (select sum(l.events) from lag l where l.consumer = 'counters') = 0
    ), newest_changes as (
      select a.id, a.previous, a.hash, notify.audit_hash(a) as computed, lag(a.id) over chain as id_before, lag(a.hash) over chain as hash_before
      from (select b.* from notify.audit b order by b.id desc limit 200) a
      window chain as (order by a.id)
    ), sessions as materialized (
      select a.pid, a.usename, a.application_name, a.backend_type, a.state, a.xact_start, a.datname = current_database() as here
      from pg_stat_activity a
    ), checked (place, name, problem, hint) as (
      select 1, 'adoption', case when not notify.is_adopted() then 'the database was restored or copied, and events are refused' end,
        'npm run migrate, or start Ravenpost'
      union all
      select 2, 'workers', case when count(*) = 0 then 'no worker has reported for 30 seconds' end,
        'start one: node src/main.ts worker'
      from notify.workers w where w.beat_at > now() - interval '30 seconds'
      union all
      select 3, 'lag', string_agg(format('%s: %s events, the oldest %s old', l.lane, l.events, date_trunc('second', l.age)), '; ' order by l.lane),
        'ops.lag, ops.workers and ops.jobs; more workers, if all are busy'
      from lag l where l.age > patience and l.paused_at is null
      union all
      select 4, 'failing lanes', string_agg(format('%s since %s: %s', l.lane, date_trunc('second', l.failing_since), l.last_error), '; ' order by l.lane),
        'remove the cause; select notify.skip_event(consumer, event_id) skips an event that the error names'
      from lag l where l.failing_since is not null
      union all
      select 5, 'paused lanes', string_agg(format('%s since %s by %s', l.lane, date_trunc('second', l.paused_at), l.paused_by), '; ' order by l.lane),
        'select notify.resume_lanes()'
      from lag l where l.paused_at is not null
      union all
      select 6, 'pending events', case when count(*) > 100 or min(p.due_at) < now() - 10 * patience then format('%s events, due since %s', count(*), date_trunc('second', min(p.due_at))) end,
        'ops.pending has the errors'
      from (select q.due_at from notify.pending q where q.dead_at is null order by q.due_at, q.id limit 10001) p
      union all
      select 7, 'dead letters', case when count(*) > 0 then count(*) || ' events used up their attempts' end,
        'ops.dead_letters has the errors; select notify.replay_dead_letter(id) from ops.dead_letters, once the cause is gone'
      from (select from notify.pending q where q.dead_at is not null limit 10001) p
      union all
      select 8, 'windows', case when count(*) > 0 then count(*) || ' groups fail or are overdue' end,
        'ops.failing_windows has the errors'
      from (
        (select w.user_id, w.group_key, w.filter from notify.windows w where w.attempts > 0 limit 10001)
        union
        (select w.user_id, w.group_key, w.filter from notify.windows w where w.due_at < now() - patience limit 10001)
      ) w
      union all
      select 9, 'fan-outs', string_agg(format('%s %s: %s', f.id, f.kind, coalesce(f.last_error, 'overdue')), '; ' order by f.id),
        'ops.fan_outs where finished_at is null'
      from (
        select g.id, g.kind, g.last_error
        from notify.fan_outs g
        where g.finished_at is null and (g.due_at < now() - 5 * patience or g.attempts > 2)
        limit 20
      ) f
      union all
      select 10, 'mails and pushes', case when count(*) > 0 then count(*) || ' are overdue' end,
        'ops.deliveries where overdue is not null; ops.workers'
      from (
        (select from notify.deliveries d where d.channel = 'email' and d.due_at < now() - 5 * patience limit 10001)
        union all
        (select from notify.deliveries d where d.channel = 'webPush' and d.due_at < now() - 5 * patience limit 10001)
      ) d
      union all
      select 11, 'webhooks', string_agg(format('%s %s: %s', w.id, coalesce('disabled, ' || w.disabled_because, 'failing'), w.last_error), '; ' order by w.id),
        'ops.webhooks; PATCH /webhooks/{id} enables one again'
      from notify.webhooks w where w.failing_since < now() - 60 * patience or w.disabled_because in ('gone', 'failing')
      union all
      select 12, 'counts', string_agg(c.line, '; '),
        'ops.count_drift recounts everything'
      from (select w.line from wrong_counts w limit 20) c
      union all
      select 13, 'audit log', case
          when bool_or(n.hash <> n.computed or n.id <> n.id_before + 1 or n.previous <> n.hash_before) or max(n.id) is distinct from max(c.last_id)
            and c.first_id <= c.last_id then 'rows were changed or removed by force'
        end,
        'ops.audit_breaks checks every row, and names them'
      from notify.audit_chain c left join newest_changes n on true
      group by c.first_id, c.last_id
      union all
      select 14, 'partitions', string_agg(p.log || ' has none for what comes next', '; '),
        'a worker makes them: its log has the reason'
      from (
        select 'notify.outbox' as log
        where not exists (select from notify.outbox_partitions p where p.to_id > (select s.last_value + 100000 from notify.outbox_id_seq s))
        union all
        select 'notify.delivery_log'
        where not exists (select from notify.delivery_log_days d where d.to_at > now() + interval '1 day')
      ) p
      union all
      select 15, 'sequences', case when (select s.last_value from notify.outbox_id_seq s) < max(o.id) then 'ids of events would repeat' end,
        'npm run adopt'
      from notify.outbox o
      union all
      select 16, 'indexes', string_agg(i.indexrelid::regclass::text, ', '),
        'reindex index concurrently'
      from pg_index i join pg_class c on c.oid = i.indexrelid
      where not i.indisvalid and c.relnamespace::regnamespace::text in ('social', 'notify', 'graphile_worker') and c.relkind = 'i'
      union all
      select 17, 'roles', concat_ws('; ',
          (select string_agg(r.name || ' is missing', '; ')
           from unnest(array['ravenpost_app', 'ravenpost_readonly', 'ravenpost_emitter', 'ravenpost_critical', 'ravenpost_log']) r (name)
           where to_regrole(r.name) is null),
          (select 'notify.outbox does not belong to ravenpost_log' from pg_class c
           where c.oid = 'notify.outbox'::regclass and c.relowner is distinct from to_regrole('ravenpost_log'))),
        'npm run migrate as a role that may create roles; docs/security.md'
      union all
      select 18, 'held locks', string_agg(format('%s %s (%s) since %s', coalesce('process ' || h.pid, h.transaction), h.application, h.role, date_trunc('second', h.since)), '; '),
        'select pg_terminate_backend(pid), or rollback prepared'
      from ops.held_locks h
      where h.since < now() - patience and h.holds_up
      union all
      select 19, 'old transactions', string_agg(t.line, '; '),
        'select pg_terminate_backend(pid), or rollback prepared: nothing that changed since then can be vacuumed'
      from (
        select format('process %s %s (%s), %s, since %s', s.pid, s.application_name, s.usename, s.state, date_trunc('second', s.xact_start)) as line
        from sessions s where s.here and s.backend_type = 'client backend' and s.xact_start < now() - 10 * patience and s.pid <> pg_backend_pid()
        union all
        select format('prepared transaction %s (%s) since %s', x.gid, x.owner, date_trunc('second', x.prepared))
        from pg_prepared_xacts x where x.database = current_database() and x.prepared < now() - 10 * patience
      ) t
      union all
      select 20, 'replication slots', string_agg(format('%s: %s, keeps %s of WAL', s.slot_name, case when s.active then s.wal_status else 'nobody reads it' end, pg_size_pretty(s.kept)), '; '),
        'start its reader, or select pg_drop_replication_slot(name): a slot keeps WAL and dead rows until the disk is full'
      from (
        select r.slot_name, r.active, r.wal_status,
          case when pg_is_in_recovery() then null else pg_wal_lsn_diff(pg_current_wal_lsn(), r.restart_lsn) end as kept
        from pg_replication_slots r
      ) s
      where not s.active or s.wal_status in ('unreserved', 'lost') or s.kept > 10 * 1024 ^ 3
      union all
      select 21, 'settings', string_agg(s.name || ' = ' || s.setting, ', ' order by s.name),
        'a crash may lose or damage data (fsync, full_page_writes, synchronous_commit), tables grow (autovacuum, track_counts), idle connections end (idle_session_timeout), writes fail (default_transaction_read_only)'
      from pg_settings s
      where s.name in ('fsync', 'full_page_writes', 'synchronous_commit', 'autovacuum', 'track_counts') and s.setting = 'off'
         or s.name in ('zero_damaged_pages', 'ignore_checksum_failure', 'default_transaction_read_only') and s.setting = 'on'
         or s.name = 'idle_session_timeout' and s.setting <> '0'
      union all
      select 22, 'connections', case when count(*) > 0.8 * current_setting('max_connections')::integer then format('%s of %s are in use', count(*), current_setting('max_connections')) end,
        'a transaction pooler, a smaller POOL_SIZE, or a larger max_connections'
      from sessions s where s.backend_type = 'client backend'
      union all
      select 23, 'transaction ids', case when greatest(age(d.datfrozenxid), mxid_age(d.datminmxid)) > 1000000000 then format('the oldest is %s transactions old', greatest(age(d.datfrozenxid), mxid_age(d.datminmxid))) end,
        'vacuum freeze; at 2,000,000,000 the server stops to accept writes. Look for old transactions and slots'
      from pg_database d where d.datname = current_database()
      union all
      select 24, 'vacuum', string_agg(format('%s.%s has %s dead rows and %s live ones', t.schemaname, t.relname, t.n_dead_tup, t.n_live_tup), '; '),
        'vacuum; look for old transactions and slots'
      from pg_stat_user_tables t
      where t.schemaname in ('social', 'notify', 'graphile_worker') and t.n_dead_tup > 100000 and t.n_dead_tup > t.n_live_tup
      union all
      select 25, 'NOTIFY queue', case when pg_notification_queue_usage() > 0.2 then format('%s %% full', round(100 * pg_notification_queue_usage())) end,
        'end the old transaction of a session that listens; when the queue is full, commits fail'
    )
    select c.name, coalesce(c.problem, '') = '', coalesce(nullif(c.problem, ''), 'good'), case when c.problem <> '' then c.hint end
    from checked c
    order by c.place;
  end;
comment on function ops.check is 'One row per check: whether it is good, what is wrong, and what helps. select * from ops.check() where not ok. Cheap enough for every minute: it counts to 10,001, recounts what the newest 200 events concern, and checks as many rows of the audit log. patience: how long an event may wait or a lock be held; mails, pushes and fan-outs 5 times, transactions 10 times, endpoints 60 times as long. A role without pg_read_all_stats sees the transactions of its own role only.';

create function ops.advice(memory text default null, patience interval default '10 minutes')
  returns table (setting text, value text, advised text, reason text, statement text)
  language plpgsql stable
as $$
#variable_conflict use_column
declare
  -- What Ravenpost sets on its embedded server; without the memory, as for 2 GB.
  quarter constant bigint := coalesce(pg_size_bytes(advice.memory), 2 * 1024 ^ 3::bigint) / 4;
  buffers constant bigint := least(greatest(quarter, 128 * 1024 ^ 2), 2 * 1024 ^ 3);
  wal constant bigint := case when advice.memory is null then 4 * 1024 ^ 3 else least(greatest(quarter, 1024 ^ 3), 4 * 1024 ^ 3) end;
  installed constant integer := current_setting('server_version_num')::integer / 10000;
  timed bigint;
  requested bigint;
begin
  -- PostgreSQL 17 moved these counters from pg_stat_bgwriter to a view of their own.
  if installed >= 17 then
    execute 'select num_timed, num_requested from pg_stat_checkpointer' into timed, requested;
  else
    execute 'select checkpoints_timed, checkpoints_req from pg_stat_bgwriter' into timed, requested;
  end if;
  return query
  with settings as materialized (
    select s.name, s.setting, current_setting(s.name) as value, s.context, s.source from pg_settings s
  ), connections as (
    select sum(n.each * p.processes)::integer + current_setting('superuser_reserved_connections')::integer as needed
    from (
      select q.role, count(*) as processes
      from notify.processes q
      where q.beat_at > now() - interval '30 seconds'
      group by q.role
    ) p
    join (
      select t.role, t.value::integer as each
      from notify.settings t
      where t.name = 'connections of a process' and t.value ~ '^[0-9]{1,6}$'
    ) n on n.role = p.role
  ), advised (place, name, advised, reason) as (
    select 1, s.name, buffers / 1024 ^ 2 || 'MB',
      concat('pages that do not fit are read and written through the system, and each checkpoint writes more',
        case when advice.memory is null then '; this value is for 2 GB of memory: PostgreSQL does not know its machine, ops.advice(''16GB'') does' end)
    from settings s
    where s.name = 'shared_buffers' and pg_size_bytes(s.value) < 0.9 * buffers
      and (advice.memory is not null or pg_database_size(current_database()) > 4 * pg_size_bytes(s.value))
    union all
    select 2, s.name, wal / 1024 ^ 2 || 'MB',
      format('the WAL fills up before checkpoint_timeout (%s of %s checkpoints), and after each checkpoint the first change of every page writes it whole', requested, timed + requested)
    from settings s
    where s.name = 'max_wal_size' and pg_size_bytes(s.value) < 0.9 * wal and (advice.memory is not null or requested > timed + 10)
    union all
    select 3, s.name, '5min', 'after each checkpoint the first change of every page writes it whole to the WAL'
    from settings s where s.name = 'checkpoint_timeout' and s.setting::integer < 300
    union all
    select 4, s.name, 'on',
      case s.setting
        when 'off' then 'a crash may lose requests that were answered; Ravenpost itself switches it off where nothing can be lost'
        else 'each request waits until a standby has replayed its commit'
      end
    from settings s
    where s.name = 'synchronous_commit' and (s.setting = 'off' or s.setting = 'remote_apply' and current_setting('synchronous_standby_names') <> '')
    union all
    select 5, s.name, (ceil((c.needed + 20) / 10.0) * 10)::text,
      format('the processes that run now may open %s connections, and requests fail when none is left', c.needed)
    from settings s cross join connections c
    where s.name = 'max_connections' and s.setting::integer < c.needed
    union all
    select 6, s.name, '10min', 'a forgotten transaction keeps its locks, and no row that changed since then can be vacuumed'
    from settings s where s.name = 'idle_in_transaction_session_timeout' and s.setting = '0'
    union all
    select 7, s.name, '9s', 'through a connection pooler, statements of Ravenpost end before its own limit of 9 seconds, and their work starts again'
    from settings s where s.name = 'statement_timeout' and s.source not in ('client', 'session') and s.setting::integer between 1 and 8999
    union all
    select 7, s.name, '0', 'a migration, an adoption or a large batch that takes longer loses its connection, and starts again'
    from settings s where s.name = 'transaction_timeout' and s.setting::integer between 1 and 59999
    union all
    select 8, s.name, 'on', 'nobody removes dead rows: tables and indexes grow, and every read gets slower'
    from settings s where s.name in ('autovacuum', 'track_counts') and s.setting = 'off'
    union all
    select 9, s.name, '1min', 'dead rows of tables that change with every batch stay longer, and every read passes them'
    from settings s where s.name = 'autovacuum_naptime' and s.setting::integer > 60
    union all
    select 10, s.name, '2ms', 'autovacuum pauses for so long that it may not keep up with notify.notifications and notify.inbox'
    from settings s where s.name = 'autovacuum_vacuum_cost_delay' and s.setting::float8 > 2
    union all
    select 11, s.name, '3', 'one large table keeps autovacuum from the small tables that change with every batch'
    from settings s where s.name = 'autovacuum_max_workers' and s.setting::integer < 3
    union all
    select 12, s.name, 'off', 'views in ops and your own queries are compiled for longer than they run; Ravenpost''s connections switch it off'
    from settings s where s.name = 'jit' and s.setting = 'on'
    union all
    select 13, s.name, 'on', 'when a statement is slow, nothing shows whether it waited for the disk'
    from settings s where s.name = 'track_io_timing' and s.setting = 'off'
    union all
    select 14, s.name, 'ddl', 'every statement is written to the server''s log, with the texts of posts and messages'
    from settings s where s.name = 'log_statement' and s.setting in ('mod', 'all')
    union all
    select 15, s.name, '1s', 'every statement is written to the server''s log'
    from settings s where s.name = 'log_min_duration_statement' and s.setting = '0'
    union all
    select 16, s.name, 'replica', 'updates and deletes write more WAL, and no logical replication slot uses it'
    from settings s
    where s.name = 'wal_level' and s.setting = 'logical' and not exists (select from pg_replication_slots r where r.slot_type = 'logical')
  ), held (what, xmin_age, since, statement) as (
    select format('transaction of process %s %s (%s)', a.pid, a.application_name, a.usename), age(coalesce(a.backend_xmin, a.backend_xid)), a.xact_start,
      format('select pg_terminate_backend(%s)', a.pid)
    from pg_stat_activity a
    where a.backend_type = 'client backend' and a.pid <> pg_backend_pid() and coalesce(a.backend_xmin, a.backend_xid) is not null
      and a.datname = current_database()
    union all
    select format('prepared transaction %s (%s)', x.gid, x.owner), age(x.transaction), x.prepared, format('rollback prepared %L', x.gid)
    from pg_prepared_xacts x where x.database = current_database()
    union all
    select format('replication slot %s', r.slot_name), age(r.xmin), null, format('select pg_drop_replication_slot(%L)', r.slot_name)
    from pg_replication_slots r where r.xmin is not null
    union all
    select format('standby %s, by hot_standby_feedback', r.application_name), age(r.backend_xmin), null,
      'alter system set hot_standby_feedback = ''off''; select pg_reload_conf(); -- on the standby'
    from pg_stat_replication r where r.backend_xmin is not null
  ), released (major, minor) as (
    -- Of November 2025.
    values (15, 15), (16, 11), (17, 7), (18, 1)
  ), found (place, setting, value, advised, reason, statement) as (
    select a.place, a.name, s.value, a.advised, a.reason,
      case
        when s.source = 'database' then format('alter database %I reset %I', current_database(), a.name)
        when s.source = 'user' then format('alter role %I reset %I', session_user, a.name)
        when s.source = 'database user' then format('alter role %I in database %I reset %I', session_user, current_database(), a.name)
        when s.source = 'command line' then format('-- start PostgreSQL with -c %s=%s: its command line sets it', a.name, a.advised)
        else format('alter system set %I = %L; ', a.name, a.advised) || case when s.context = 'postmaster' then '-- then restart PostgreSQL' else 'select pg_reload_conf();' end
      end
    from advised a join settings s on s.name = a.name
    union all
    select 17, h.what, coalesce('since ' || date_trunc('second', h.since), h.xmin_age || ' transactions old'), 'end it',
      'no row that changed since then can be vacuumed, and reads pass more and more dead rows', h.statement
    from held h
    where h.since < now() - advice.patience or h.xmin_age > 1000000
    union all
    select 18, 'server_version', current_setting('server_version'), format('%s.%s or later', r.major, r.minor),
      'later minor versions fix losses of data and security holes, and need only a restart', '-- install the newest minor version, then restart PostgreSQL'
    from released r where r.major = installed and current_setting('server_version_num')::integer % 10000 < r.minor
  )
  select f.setting, f.value, f.advised, f.reason, f.statement from found f order by f.place, f.setting;
end $$;
comment on function ops.advice is 'Settings and held snapshots of this server that cost Ravenpost something: why, and the statement that changes it. Empty when nothing does. memory: that of the machine, such as 16GB, which PostgreSQL does not know; without it, sizes are advised only when they show in its statistics. Settings are those of the calling connection. ops.check finds what is broken or risky. A role without pg_read_all_stats sees the transactions of its own role only. patience: age from which a transaction counts as old.';

create function ops.person(user_id bigint)
  returns table (place text, what text, rows bigint, oldest timestamptz, newest timestamptz, kept text)
  language sql stable
  begin atomic
    select p.place, p.what, p.rows, p.oldest, p.newest, p.kept
    from (
      select 'social.users' as place, 'the account' as what, count(*) as rows, min(t.created_at) as oldest, max(t.created_at) as newest, 'until the account is deleted' as kept
      from social.users t where t.id = person.user_id and t.deleted_at is null
      union all
      select 'social.sessions', 'sign-ins', count(*), min(t.created_at), max(t.created_at), 'until they end; of a deleted account two days'
      from social.sessions t where t.user_id = person.user_id
      union all
      select 'social.refresh_tokens', 'hashes of refresh tokens', count(*), min(t.created_at), max(t.created_at), 'with their session'
      from social.refresh_tokens t join social.sessions s on s.id = t.session_id where s.user_id = person.user_id
      union all
      select 'social.rate_limits', 'counted requests', count(*), null, null, 'a day at most'
      from social.rate_limits t where t.key like '%:' || person.user_id
      union all
      select 'social.idempotency_keys', 'kept responses', count(*), min(t.created_at), max(t.created_at), '24 hours; cleared with the account'
      from social.idempotency_keys t where t.caller = 'user:' || person.user_id
      union all
      select 'social.posts', 'posts', count(*), min(t.created_at), max(t.created_at), 'until deleted'
      from social.posts t where t.author_id = person.user_id
      union all
      select 'social.comments', 'comments with a text', count(*), min(t.created_at), max(t.created_at), 'until deleted'
      from social.comments t where t.author_id = person.user_id and t.body <> ''
      union all
      select 'social.likes', 'likes', count(*), min(t.created_at), max(t.created_at), 'until taken back'
      from social.likes t where t.user_id = person.user_id
      union all
      select 'social.follows', 'follows, both ways', count(*), min(t.created_at), max(t.created_at), 'until taken back'
      from social.follows t where t.follower_id = person.user_id or t.followee_id = person.user_id
      union all
      select 'social.bookmarks', 'bookmarks', count(*), min(t.created_at), max(t.created_at), 'until taken back'
      from social.bookmarks t where t.user_id = person.user_id
      union all
      select 'social.blocks', 'blocks, both ways', count(*), min(t.created_at), max(t.created_at), 'until taken back'
      from social.blocks t where t.user_id = person.user_id or t.other_id = person.user_id
      union all
      select 'social.mutes', 'mutes, both ways', count(*), min(t.created_at), max(t.created_at), 'until taken back'
      from social.mutes t where t.user_id = person.user_id or t.other_id = person.user_id
      union all
      select 'social.thread_mutes', 'muted posts', count(*), min(t.created_at), max(t.created_at), 'until taken back'
      from social.thread_mutes t where t.user_id = person.user_id
      union all
      select 'social.bells', 'bells, both ways', count(*), min(t.created_at), max(t.created_at), 'until taken back'
      from social.bells t where t.user_id = person.user_id or t.author_id = person.user_id
      union all
      select 'social.media', 'media', count(*), min(t.created_at), max(t.created_at), 'until nothing has shown them for a day'
      from social.media t where t.owner_id = person.user_id
      union all
      select 'social.media_uploads', 'uploads under way', count(*), min(t.begun_at), max(t.begun_at), 'an hour at most'
      from social.media_uploads t where t.owner_id = person.user_id
      union all
      select 'notify.inbox', 'the inbox', count(*), null, null, 'until the account is deleted'
      from notify.inbox t where t.user_id = person.user_id
      union all
      select 'notify.preferences', 'preferences', count(*), min(t.updated_at), max(t.updated_at), 'until the account is deleted'
      from notify.preferences t where t.user_id = person.user_id
      union all
      select 'notify.push_subscriptions', 'browsers that take Web Push', count(*), min(t.created_at), max(t.created_at), 'until their session ends'
      from notify.push_subscriptions t where t.user_id = person.user_id
      union all
      select 'notify.notifications', 'notifications of the user', count(*), min(t.created_at), max(t.created_at), 'until they expire, 90 days by default'
      from notify.notifications t where t.user_id = person.user_id
      union all
      select 'notify.notifications', 'number of the user as an actor, in other inboxes', count(*), min(t.created_at), max(t.created_at), 'until they expire, 90 days by default'
      from notify.notifications t where person.user_id = any(t.actor_ids) and t.user_id <> person.user_id
      union all
      select 'notify.sources', 'what was decided for the user', count(*), min(t.decided_at), max(t.decided_at), 'with their notification, at least 32 days'
      from notify.sources t where t.user_id = person.user_id
      union all
      select 'notify.sources', 'number of the user as an actor, in other inboxes', count(*), min(t.decided_at), max(t.decided_at), 'with their notification, at least 32 days'
      from notify.sources t where t.actor_id = person.user_id and t.user_id <> person.user_id
      union all
      select 'notify.windows', 'groups that gather', count(*), min(t.opened_at), max(t.opened_at), 'a day at most'
      from notify.windows t where t.user_id = person.user_id
      union all
      select 'notify.tombstones', 'numbers of removed notifications', count(*), min(t.removed_at), max(t.removed_at), '30 days'
      from notify.tombstones t where t.user_id = person.user_id
      union all
      select 'notify.journal', 'former versions of notifications', count(*), min(t.at), max(t.at), 'JOURNAL_RETENTION_DAYS, 30 by default; cleared with the account'
      from notify.journal t where t.user_id = person.user_id
      union all
      select 'notify.deliveries', 'mails and pushes', count(*), min(t.queued_at), max(t.queued_at), '90 days; cleared with the account'
      from notify.deliveries t where t.user_id = person.user_id
      union all
      select 'notify.webhook_deliveries', 'messages to endpoints about the user', count(*), min(t.created_at), max(t.created_at), '30 days'
      from notify.webhook_deliveries t where t.recipient_id = person.user_id
      union all
      select 'notify.delivery_log', 'history of notifications', count(*), min(t.at), max(t.at), 'DELIVERY_LOG_RETENTION_DAYS, 30 by default; cleared with the account'
      from notify.delivery_log t where t.recipient_id = person.user_id
      union all
      select 'notify.outbox', 'events, as recipient or actor', count(*), min(t.created_at), max(t.created_at), 'OUTBOX_RETENTION_DAYS, 7 by default, and a tenth of it'
      from notify.outbox t where t.recipient_id = person.user_id or t.actor_id = person.user_id
      union all
      select 'notify.pending', 'events that failed', count(*), min(t.created_at), max(t.created_at), '30 days; those for the user are cleared with the account'
      from notify.pending t where t.recipient_id = person.user_id or t.event ->> 'actorId' = person.user_id::text
      union all
      select 'notify.fan_outs', 'long work for or because of the user', count(*), min(t.created_at), max(t.created_at), '30 days after its end'
      from notify.fan_outs t
      where t.actor_id = person.user_id or person.user_id = any(t.except_ids) or t.event ->> 'actorId' = person.user_id::text
        or t.object_id = person.user_id and t.kind in ('delete_user', 'retract_actor', 'end_sources', 'read_inbox', 'archive_inbox', 'delete_inbox', 'see_inbox')
      union all
      select 'notify.sends', 'sends, as sender or recipient', count(*), min(t.created_at), max(t.created_at), '90 days'
      from notify.sends t where t.sender = 'user:' || person.user_id or person.user_id = any(t.recipient_ids)
      union all
      select 'notify.broadcasts', 'broadcasts that the user wrote', count(*), min(t.created_at), max(t.created_at), 'for good'
      from notify.broadcasts t where t.created_by = person.user_id
      union all
      select 'notify.broadcast_audience', 'lists of recipients', count(*), null, null, 'until the broadcast ends'
      from notify.broadcast_audience t where t.recipient_id = person.user_id
      union all
      select 'notify.broadcast_late', 'broadcasts that waited for the inbox', count(*), null, null, 'a day after the end of the broadcast'
      from notify.broadcast_late t where t.recipient_id = person.user_id
      union all
      select 'notify.unreached', 'sends that named the user without an inbox', count(*), min(t.created_at), max(t.created_at), '30 days'
      from notify.unreached t where t.recipient_id = person.user_id
      union all
      select 'notify.audit', 'changes by the user as an admin, or of the user', count(*), min(t.at), max(t.at), 'AUDIT_RETENTION_MONTHS, 24 by default'
      from notify.audit t where t.actor = 'user:' || person.user_id or t.target = 'user:' || person.user_id
      union all
      select 'social.demo_users', 'mark of a demo user', count(*), null, null, 'with the demo user'
      from social.demo_users t where t.user_id = person.user_id
      union all
      select 'notify.named_locks', 'names of sends by the user', count(*), min(t.used_at), max(t.used_at), 'a day'
      from notify.named_locks t where t.name like 'send:user:' || person.user_id || ':%'
    ) p
    where p.rows > 0;
  end;
comment on function ops.person is 'What is stored about a user: in which table, how many rows, and how long they are kept. Nothing is left after the account was deleted and retention has run, except the user''s number: in the emptied row of the account, and as author of emptied comments that have replies, and of broadcasts; and where broadcasts and segments name the user, by number or external id. Reads the whole log and all inboxes, which takes minutes on a large database.';

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
  if advanced > 0 then
    perform notify.write_audit(null, 'sequences.advance', null, null, jsonb_build_object('sequences', advanced));
  end if;
  return advanced;
end $$;
comment on function ops.advance_sequences is 'Moves every sequence that is behind the ids of its table to the highest of them; returns the number of moved sequences. Needed after logical replication, which does not copy sequences. Called by the adoption.';

-- The migrator's own tables.
comment on table notify.migrations is 'Migrations that were run, in the order of their names. New ones are only appended.';
comment on column notify.migrations.name is 'Name of the file in migrations/, without .sql.';
comment on column notify.migrations.timestamp is 'Time of the run, UTC.';
comment on table notify.migrations_lock is 'One row, locked by the process that migrates; others wait for its lock.';
comment on column notify.migrations_lock.id is 'Name of the lock.';
comment on column notify.migrations_lock.is_locked is 'Always 0 on PostgreSQL.';
