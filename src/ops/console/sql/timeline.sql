-- What happened in an inbox, latest first: notifications, the decisions behind them, removals, messages, and what was not shown. Reads the 200 notifications
-- that grew last before a state ($2; null: the newest). Begins at a time ($3, microseconds since 1970; null: the latest) and leaves out $4 rows.
with block as materialized (
  select n.*
  from notify.notifications n
  where n.user_id = $1::bigint and n.grown_modseq < coalesce($2::bigint, 9223372036854775807)
  order by n.grown_modseq desc
  limit 200
), bounds as materialized (
  select
    case when count(*) = 200 then min(b.grown_modseq) end as state,
    case when count(*) = 200 then (array_agg(b.updated_at order by b.grown_modseq))[1] else '-infinity' end as from_at,
    -- The last notification of the block before.
    coalesce((select n.updated_at from notify.notifications n where n.user_id = $1::bigint and n.grown_modseq >= $2::bigint order by n.grown_modseq limit 1), 'infinity') as to_at
  from block b
)
select
  t.at as "at",
  t.what as "what",
  t.notification_id::text as "notificationId",
  t.type as "type",
  t.source_id as "sourceId",
  t.reason as "reason",
  (extract(epoch from t.at) * 1000000)::bigint::text as "position",
  (select state from bounds)::text as "olderThan"
from (
  select created_at, 'created', id, type, null::text, filter_reason from block
  union all
  select updated_at, 'grew', id, type, null, null from block where updated_at > created_at
  union all
  select delivered_at, 'delivered', id, type, null, null from block where delivered_at is not null
  union all
  select read_at, 'read', id, type, null, null from block where read_at is not null
  union all
  select archived_at, 'archived', id, type, null, null from block where archived_at is not null
  union all
  select s.decided_at, s.decision, s.notification_id, b.type, s.source_id, s.decided_by
  from block b
  cross join lateral (
    select * from notify.sources s where s.user_id = b.user_id and s.notification_id = b.id and s.live order by s.actor_id, s.event_id limit 50
  ) s
  union all
  select s.decided_at, 'waits', null, null, s.source_id, 'the window of ' || s.waits_for
  from notify.sources s
  where s.user_id = $1::bigint and s.waits_for is not null and $2::bigint is null
  union all
  select r.removed_at, 'removed', r.id, null, null, null
  from notify.tombstones r
  where r.user_id = $1::bigint and r.modseq >= coalesce((select state from bounds), 0) and r.modseq < coalesce($2::bigint, 9223372036854775807)
  union all
  select d.updated_at, d.channel || ' ' || d.state, b.id, b.type, null, coalesce(d.reason, d.last_error)
  from block b
  join notify.deliveries d on d.user_id = b.user_id and d.notification_id = b.id
  union all
  select l.at, case when l.channel = 'inApp' then l.event else l.channel || ' ' || l.event end, l.notification_id, b.type, null, l.reason
  from block b
  cross join lateral (
    select * from notify.delivery_log l where l.recipient_id = b.user_id and l.notification_id = b.id and l.event in ('pushed', 'acknowledged') limit 50
  ) l
  union all
  select s.decided_at, s.decision, null, null, s.source_id, s.decided_by
  from notify.sources s
  where s.user_id = $1::bigint and s.notification_id is null and s.waits_for is null
    and s.decided_at >= (select from_at from bounds) and s.decided_at < (select to_at from bounds)
  union all
  select l.at, l.channel || ' ' || l.event, null, null, null, coalesce(l.reason, 'about the account')
  from notify.delivery_log l
  where l.recipient_id = $1::bigint and l.notification_id is null and l.channel <> 'inApp'
    and l.at >= (select from_at from bounds) and l.at < (select to_at from bounds)
) t (at, what, notification_id, type, source_id, reason)
where t.at <= coalesce(timestamptz 'epoch' + $3::bigint * interval '1 microsecond', 'infinity')
order by t.at desc, t.notification_id desc nulls last, t.what, t.source_id, t.reason
offset $4::int
limit $5::int
