-- Mails and pushes that wait, or are being sent; those that are due for longest first.
select w.*
from unnest(array['email', 'webPush']) c (channel)
cross join lateral (
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
    d.updated_at as "updatedAt"
  from notify.deliveries d
  where d.channel = c.channel and d.due_at is not null
  order by d.due_at
  limit $1::int
) w
order by w."dueAt", w."userId", w."notificationId"
limit $1::int
