-- What happened in an inbox, latest first: the newest notifications, the decisions behind them, removals, messages, and what was filtered.
with newest as materialized (
  select n.*
  from notify.notifications n
  where n.user_id = $1::bigint
  order by n.grown_modseq desc
  limit $2::int
)
select
  t.at as "at",
  t.what as "what",
  t.notification_id::text as "notificationId",
  t.type as "type",
  t.source_id as "sourceId",
  t.reason as "reason"
from (
  select created_at, 'created', id, type, null::text, filter_reason from newest
  union all
  select updated_at, 'grew', id, type, null, null from newest where updated_at > created_at
  union all
  select delivered_at, 'delivered', id, type, null, null from newest where delivered_at is not null
  union all
  select read_at, 'read', id, type, null, null from newest where read_at is not null
  union all
  select archived_at, 'archived', id, type, null, null from newest where archived_at is not null
  union all
  select s.decided_at, s.decision, s.notification_id, n.type, s.source_id, s.decided_by
  from newest n
  cross join lateral (
    select * from notify.sources s where s.user_id = n.user_id and s.notification_id = n.id and s.live order by s.actor_id, s.event_id limit 50
  ) s
  union all
  select s.decided_at, 'waits', null, null, s.source_id, 'the window of ' || s.waits_for
  from (select * from notify.sources where user_id = $1::bigint and waits_for is not null order by waits_for, actor_id, event_id limit $2::int) s
  union all
  (select removed_at, 'removed', id, null, null, null from notify.tombstones where user_id = $1::bigint order by modseq desc limit $2::int)
  union all
  select d.updated_at, d.channel || ' ' || d.state, n.id, n.type, null, coalesce(d.reason, d.last_error)
  from newest n
  join notify.deliveries d on d.user_id = n.user_id and d.notification_id = n.id
  union all
  select l.at, case when l.channel = 'inApp' then l.event else l.channel || ' ' || l.event end, l.notification_id, n.type, null, l.reason
  from newest n
  cross join lateral (
    select * from notify.delivery_log l where l.recipient_id = n.user_id and l.notification_id = n.id and l.event in ('pushed', 'acknowledged') limit 50
  ) l
  union all
  (select l.at, l.event, null, null, null, l.reason
   from notify.delivery_log l
   where l.recipient_id = $1::bigint and l.notification_id is null
   limit $2::int)
) t (at, what, notification_id, type, source_id, reason)
order by t.at desc, t.notification_id desc nulls last, t.what, t.source_id
limit $2::int
