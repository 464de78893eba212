-- What a DBA looks at. Views and functions only: no state lives here.

create schema ops;
comment on schema ops is 'For DBAs and the console: views over the log, the jobs and the inboxes. Holds no state.';

create view ops.lag as
select p.consumer, p.lane, p.critical, coalesce(e.events, 0) as events, e.oldest_at, now() - e.oldest_at as age, p.moved_at,
       pg_snapshot_xmin(p.done) as done_xmin
from notify.positions p
left join lateral (
  select count(*) as events, min(o.created_at) as oldest_at
  from notify.outbox o
  where o.critical = p.critical and o.shard between p.shard_from and p.shard_to and o.id >= p.from_id
    and (p.consumer <> 'counters' or o.counted)
    and o.xid >= pg_snapshot_xmin(p.done) and not pg_visible_in_snapshot(o.xid, p.done)
    and not (p.target is not null and pg_visible_in_snapshot(o.xid, p.target) and (o.shard, o.xid, o.id) <= (p.after_shard, p.after_xid, p.after_id))
) e on true;
comment on view ops.lag is 'Per lane: committed events not read yet, and since when the oldest waits.';
comment on column ops.lag.consumer is 'notifications or counters.';
comment on column ops.lag.lane is 'Number of the lane.';
comment on column ops.lag.critical is 'Whether it is the critical lane.';
comment on column ops.lag.events is 'Events not read yet.';
comment on column ops.lag.oldest_at is 'When the oldest of them was written.';
comment on column ops.lag.age is 'How long it has waited.';
comment on column ops.lag.moved_at is 'When the position last moved.';
comment on column ops.lag.done_xmin is 'Oldest transaction that was open when the last finished window was taken.';

create view ops.jobs as
select task_identifier as task,
       case when locked_at is not null then 'running' when attempts >= max_attempts then 'failed'
            when run_at <= now() then 'ready' when attempts > 0 then 'retrying' else 'scheduled' end as state,
       count(*) as jobs, min(run_at) as oldest_run_at, max(attempts) as most_attempts, max(last_error) as an_error
from graphile_worker.jobs
group by 1, 2;
comment on view ops.jobs is 'Jobs of graphile-worker by task and state. Jobs are hints: what is to be done stands in tables.';
comment on column ops.jobs.task is 'Task, a file in workers/.';
comment on column ops.jobs.state is 'running, ready, scheduled, retrying or failed.';
comment on column ops.jobs.jobs is 'How many.';
comment on column ops.jobs.oldest_run_at is 'When the oldest was or is to run.';
comment on column ops.jobs.most_attempts is 'Most attempts any of them has had.';
comment on column ops.jobs.an_error is 'One of their last errors.';

create view ops.workers as
select w.worker_id, w.host, w.pid, w.started_at, w.beat_at, now() - w.beat_at as silent_for,
       (select count(*) from graphile_worker.jobs j where j.locked_by = w.worker_id) as jobs_locked
from notify.workers w;
comment on view ops.workers is 'Worker processes, their last heartbeat, and the jobs they hold.';
comment on column ops.workers.worker_id is 'The id under which graphile-worker locks jobs.';
comment on column ops.workers.host is 'Host of the process.';
comment on column ops.workers.pid is 'Process id on that host.';
comment on column ops.workers.started_at is 'When it started.';
comment on column ops.workers.beat_at is 'Last heartbeat.';
comment on column ops.workers.silent_for is 'Time since then; past 10 s its jobs are unlocked.';
comment on column ops.workers.jobs_locked is 'Jobs it holds.';

create view ops.pending as
select id, consumer, event_id, recipient_id, event ->> 'sourceId' as source_id, attempts, due_at, last_error, created_at
from notify.pending where dead_at is null;
comment on view ops.pending is 'Events that wait for another attempt.';
comment on column ops.pending.id is 'Number of the row.';
comment on column ops.pending.consumer is 'Consumer that owes the effect.';
comment on column ops.pending.event_id is 'Id of the event.';
comment on column ops.pending.recipient_id is 'Recipient of the event.';
comment on column ops.pending.source_id is 'Source of the event.';
comment on column ops.pending.attempts is 'Failed attempts so far.';
comment on column ops.pending.due_at is 'When the next is due.';
comment on column ops.pending.last_error is 'Why the last one failed.';
comment on column ops.pending.created_at is 'Since when it is pending.';

create view ops.dead_letters as
select id, consumer, event_id, recipient_id, event ->> 'sourceId' as source_id, event ->> 'type' as type, attempts, last_error,
       created_at, dead_at, event
from notify.pending where dead_at is not null;
comment on view ops.dead_letters is 'Events whose last attempt failed. select notify.replay_dead_letter(id) tries one again.';
comment on column ops.dead_letters.id is 'Number of the dead letter.';
comment on column ops.dead_letters.consumer is 'Consumer that owes the effect.';
comment on column ops.dead_letters.event_id is 'Id of the event.';
comment on column ops.dead_letters.recipient_id is 'Recipient of the event.';
comment on column ops.dead_letters.source_id is 'Source of the event.';
comment on column ops.dead_letters.type is 'What the recipient was to be told.';
comment on column ops.dead_letters.attempts is 'Attempts made.';
comment on column ops.dead_letters.last_error is 'Why the last one failed.';
comment on column ops.dead_letters.created_at is 'When it became pending.';
comment on column ops.dead_letters.dead_at is 'When it became a dead letter.';
comment on column ops.dead_letters.event is 'Copy of the event.';

create view ops.count_drift as
select 'posts.like_count' as counter, p.id, p.like_count as folded, coalesce(c.n, 0) as counted
from social.posts p left join (select post_id, count(*) as n from social.likes group by 1) c on c.post_id = p.id
where p.deleted_at is null and p.like_count <> coalesce(c.n, 0)
union all
select 'posts.comment_count', p.id, p.comment_count, coalesce(c.n, 0)
from social.posts p left join (select post_id, count(*) as n from social.comments where deleted_at is null group by 1) c on c.post_id = p.id
where p.deleted_at is null and p.comment_count <> coalesce(c.n, 0)
union all
select 'comments.reply_count', p.id, p.reply_count, coalesce(c.n, 0)
from social.comments p
join social.posts o on o.id = p.post_id and o.deleted_at is null
left join (select parent_id, count(*) as n from social.comments where deleted_at is null and parent_id is not null group by 1) c on c.parent_id = p.id
where p.deleted_at is null and p.reply_count <> coalesce(c.n, 0)
union all
select 'users.follower_count', u.id, u.follower_count, coalesce(c.n, 0)
from social.users u left join (select followee_id, count(*) as n from social.follows group by 1) c on c.followee_id = u.id
where u.deleted_at is null and u.follower_count <> coalesce(c.n, 0)
union all
select 'users.following_count', u.id, u.following_count, coalesce(c.n, 0)
from social.users u left join (select follower_id, count(*) as n from social.follows group by 1) c on c.follower_id = u.id
where u.deleted_at is null and u.following_count <> coalesce(c.n, 0)
union all
select 'users.post_count', u.id, u.post_count, coalesce(c.n, 0)
from social.users u left join (select author_id, count(*) as n from social.posts where deleted_at is null group by 1) c on c.author_id = u.id
where u.deleted_at is null and u.post_count <> coalesce(c.n, 0)
union all
select 'inbox.unread_count', i.user_id, i.unread_count, coalesce(c.n, 0)
from notify.inbox i
left join (select user_id, count(*) as n from notify.notifications where read_at is null and archived_at is null and not filtered group by 1) c on c.user_id = i.user_id
where i.unread_count <> coalesce(c.n, 0)
union all
select 'inbox.unseen_count', i.user_id, i.unseen_count, coalesce(c.n, 0)
from notify.inbox i
left join (
  select n.user_id, count(*) as n from notify.notifications n join notify.inbox b on b.user_id = n.user_id
  where n.grown_modseq > b.seen_modseq and n.archived_at is null and not n.filtered group by 1
) c on c.user_id = i.user_id
where i.unseen_count <> coalesce(c.n, 0)
union all
select 'notifications.actor_count', n.user_id, n.actor_count, coalesce(c.n, 0)
from notify.notifications n
left join (select user_id, notification_id, count(distinct nullif(actor_id, 0)) as n from notify.sources where live group by 1, 2) c
  on c.user_id = n.user_id and c.notification_id = n.id
where n.actor_count <> coalesce(c.n, 0);
comment on view ops.count_drift is 'Every folded or kept count that differs from a recount. The inbox counts are right in every snapshot; the counters of posts, comments and users once the consumer counters has read the log to its end. Then this view is empty. It recounts everything: minutes on a large database.';
comment on column ops.count_drift.counter is 'Which counter.';
comment on column ops.count_drift.id is 'Of which post, comment or user.';
comment on column ops.count_drift.folded is 'What the counter says.';
comment on column ops.count_drift.counted is 'What a recount says.';

create function ops.inbox_of(username text)
  returns table (id bigint, type text, actors text, actor_count integer, object text, modseq bigint, grown_modseq bigint,
                 read boolean, archived boolean, delivered boolean, open boolean, updated_at timestamptz)
  language sql stable
  begin atomic
    select n.id, n.type,
           (select string_agg(a.username, ', ' order by k.place)
            from unnest(n.actor_ids) with ordinality k (actor_id, place) join social.users a on a.id = k.actor_id where k.place <= 3),
           n.actor_count, n.object_type || ':' || n.object_id, n.modseq, n.grown_modseq,
           n.read_at is not null, n.archived_at is not null, n.delivered_at is not null, n.closed_at is null, n.updated_at
    from notify.notifications n
    where n.user_id = (select u.id from social.users u where u.username = inbox_of.username)
    order by n.grown_modseq desc;
  end;
comment on function ops.inbox_of(text) is 'The inbox of the user with this name, newest first, as the user sees it.';

-- The migrator's own tables.
comment on table notify.migrations is 'Which migrations this database has run; kept by Kysely''s Migrator.';
comment on column notify.migrations.name is 'Name of the file in migrations/, without .sql.';
comment on column notify.migrations.timestamp is 'When it was run.';
comment on table notify.migrations_lock is 'Kysely''s own lock row; processes are kept apart by an advisory lock before it.';
comment on column notify.migrations_lock.id is 'Name of the lock.';
comment on column notify.migrations_lock.is_locked is 'Always 0 on PostgreSQL.';
