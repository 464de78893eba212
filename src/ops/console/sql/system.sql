-- What is committed and not yet delivered, what fails, and the processes that work on it. One row.
with lag as materialized (
  select coalesce(sum(events), 0)::float8 as events, coalesce(max(extract(epoch from age)), 0)::float8 as age
  from ops.lag
)
select
  now() as "at",
  (select epoch from notify.installation) as "epoch",
  (select max(id) from notify.outbox)::text as "lastEventId",
  lag.events as "unreadEvents",
  lag.age as "oldestUnreadSeconds",
  (select count(*) from notify.positions where failing_since is not null)::int as "failingLanes",
  (select count(*) from notify.positions where paused_at is not null)::int as "pausedLanes",
  (select count(*) from (select from notify.pending where dead_at is null limit 10001) p)::int as "pendingEvents",
  (select count(*) from (select from notify.pending where dead_at is not null limit 10001) p)::int as "deadLetters",
  (select last_error from notify.pending where dead_at is not null order by created_at desc limit 1) as "lastDeadLetter",
  (select count(*) from (select from notify.windows limit 10001) w)::int as "windows",
  (select count(*) from (select from notify.windows where attempts > 0 limit 10001) w)::int as "failingWindows",
  (select count(*) from (select from notify.windows where due_at < now() - interval '1 minute' limit 10001) w)::int as "overdueWindows",
  (select count(*)
   from (select from notify.deliveries where channel in ('email', 'webPush') and due_at < now() - interval '1 minute' limit 10001) d)::int as "overdueDeliveries",
  (select count(*) from (select from notify.fan_outs where finished_at is null and due_at < now() - interval '1 minute' limit 10001) f)::int as "overdueFanOuts",
  (select count(*) from notify.webhooks where failing_since is not null or disabled_because in ('gone', 'failing'))::int as "failingWebhooks",
  (select case when reltuples > 1000 then reltuples::float8 else (select count(*) from (select from notify.notifications limit 10001) n) end
   from pg_class where oid = 'notify.notifications'::regclass) as "notificationsEstimate",
  (select case when reltuples > 1000 then reltuples::float8 else (select count(*) from (select from social.users limit 10001) u) end
   from pg_class where oid = 'social.users'::regclass) as "usersEstimate",
  pg_notification_queue_usage()::float8 as "notifyQueueUsage",
  (select coalesce(jsonb_agg(jsonb_build_object(
     'id', p.id, 'role', p.role, 'host', p.host, 'pid', p.pid, 'startedAt', p.started_at, 'beatAt', p.beat_at,
     'silentSeconds', extract(epoch from now() - p.beat_at)::float8, 'memoryBytes', p.memory_bytes, 'figures', p.figures
   ) order by p.role, p.started_at), '[]')
   from notify.processes p) as "processes"
from lag
