-- Recipients of a broadcast about whom it was decided, by user, after an id; and what became of it.
select
  s.user_id as "userId",
  u.external_id as "externalId",
  case when u.deleted_at is null then u.username end as "username",
  s.decision as "decision",
  s.decided_by as "decidedBy",
  s.decided_at as "decidedAt",
  s.notification_id as "notificationId",
  n.delivered_at as "deliveredAt",
  n.read_at as "readAt",
  d.email as "email",
  d.web_push as "webPush"
from (
  select *
  from notify.sources s
  where s.source_id = $1::text and s.source_id like 'broadcast:%' and s.user_id > $2::bigint
  order by s.user_id
  limit $3::int
) s
left join social.users u on u.id = s.user_id
left join notify.notifications n on n.user_id = s.user_id and n.id = s.notification_id
left join lateral (
  select
    max(d.state) filter (where d.channel = 'email') as email,
    max(d.state) filter (where d.channel = 'webPush') as web_push
  from notify.deliveries d
  where d.user_id = s.user_id and d.notification_id = s.notification_id
) d on true
order by s.user_id
