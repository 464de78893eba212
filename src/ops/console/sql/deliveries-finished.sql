-- Mails and pushes that were sent, given up or skipped, latest first. From a time ($1, microseconds since 1970) and user on, without $3 rows.
select
  d.user_id::text as "userId",
  nullif(d.notification_id, 0)::text as "notificationId",
  d.channel as "channel",
  d.state as "state",
  d.reason as "reason",
  d.attempts as "attempts",
  d.last_error as "lastError",
  d.queued_at as "queuedAt",
  d.due_at as "dueAt",
  d.updated_at as "updatedAt",
  (extract(epoch from d.updated_at) * 1000000)::bigint || ',' || d.user_id as "position"
from notify.deliveries d
where d.due_at is null
  and (d.updated_at, d.user_id) <= (coalesce(timestamptz 'epoch' + $1::bigint * interval '1 microsecond', 'infinity'), coalesce($2::bigint, 9223372036854775807))
order by d.updated_at desc, d.user_id desc, d.notification_id desc, d.channel, d.target
offset $3::int
limit $4::int
