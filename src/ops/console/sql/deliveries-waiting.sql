-- Mails and pushes that wait, or are being sent; those that are due for longest first. From a time ($1, microseconds since 1970) and user on, without $3 rows.
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
  (extract(epoch from d.due_at) * 1000000)::bigint || ',' || d.user_id as "position"
from unnest(array['email', 'webPush']) c (channel)
cross join lateral (
  select *
  from notify.deliveries w
  where w.channel = c.channel and w.due_at is not null
    and (w.due_at, w.user_id) >= (coalesce(timestamptz 'epoch' + $1::bigint * interval '1 microsecond', '-infinity'), coalesce($2::bigint, 0))
  order by w.due_at, w.user_id, w.notification_id, w.target
  limit $3::int + $4::int
) d
order by d.due_at, d.user_id, d.notification_id, d.channel, d.target
offset $3::int
limit $4::int
