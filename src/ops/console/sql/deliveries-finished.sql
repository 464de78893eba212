-- Mails and pushes that were sent, given up or skipped, latest first.
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
where d.due_at is null
order by d.updated_at desc, d.user_id desc
limit $1::int
