-- What the last seconds left behind at each stage, at most 60 of each: events of the log after an id, what they and running fan-outs made in inboxes,
-- and lines of the delivery log after a time.
with today as materialized (
  select ('(' || greatest(pg_relation_size(format('notify.%I', d.name)::regclass) / current_setting('block_size')::int - 64, 0) || ',0)')::tid as tail
  from notify.delivery_log_days d
  where d.from_at <= now() and d.to_at > now()
)
select * from (
  select
    'write' as "stage",
    o.id::text as "id",
    o.created_at as "at",
    o.recipient_id::text as "userId",
    null as "notificationId",
    o.type as "type",
    o.source_id as "sourceId"
  from notify.outbox o
  where o.id > $1::bigint
  order by o.id desc
  limit 60
) w
union all
select * from (
  select
    'inbox',
    s.decided_at || ' ' || s.user_id || ' ' || s.notification_id || ' stored',
    s.decided_at,
    s.user_id::text,
    s.notification_id::text,
    null,
    null
  from (
    select o.id, o.recipient_id, o.source_id
    from notify.outbox o
    where o.id > $1::bigint and o.recipient_id is not null
    order by o.id desc
    limit 600
  ) o
  cross join lateral (
    select *
    from notify.sources s
    where s.user_id = o.recipient_id and s.source_id = o.source_id and s.event_id = o.id and s.decision = 'shown'
    offset 0
  ) s
  where s.decided_at > $2::timestamptz
  order by s.decided_at desc
  limit 60
) i
union all
select * from (
  select
    'inbox',
    n.created_at || ' ' || n.user_id || ' ' || n.id || ' stored',
    n.created_at,
    n.user_id::text,
    n.id::text,
    n.type,
    n.thread_key
  from (
    (select * from notify.fan_outs f where f.finished_at is null order by f.due_at limit 40)
    union all
    (select * from notify.fan_outs f where f.finished_at > $2::timestamptz order by f.finished_at desc limit 40)
  ) f
  cross join lateral (
    select *
    from notify.notifications m
    where m.thread_key = f.thread_key and (f.finished_at is not null or m.user_id <= f.cursor_user_id)
    order by m.user_id desc
    limit 60
  ) n
  where f.kind in ('broadcast', 'publish_post') and (f.kind = 'broadcast' or n.type = 'post.published') and n.created_at > $2::timestamptz
    and notify.shard_of(n.user_id) between f.first_shard and f.last_shard
  order by n.created_at desc
  limit 60
) p
union all
select * from (
  select
    case l.event when 'stored' then 'inbox' when 'pushed' then 'push' when 'acknowledged' then 'acknowledged' else l.event end,
    l.at || ' ' || l.recipient_id || ' ' || coalesce(l.notification_id, 0) || ' ' || l.event,
    l.at,
    l.recipient_id::text,
    l.notification_id::text,
    case when l.channel <> 'inApp' then l.channel end,
    l.reason
  from notify.delivery_log l
  where l.at > $2::timestamptz and l.at > now() - interval '1 minute' and l.ctid >= (select tail from today)
  order by l.at desc
  limit 180
) d
order by 3, 2
