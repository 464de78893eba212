-- How many a broadcast has reached, of those still in inboxes: sent to a device, received by it, read. For the next users after an id; the server adds
-- slices of 10,000 users in one snapshot.
select
  count(*)::int as "inInboxes",
  count(*) filter (where n.delivered_at is not null or exists (
    select
    from notify.delivery_log d
    where d.recipient_id = n.user_id and d.notification_id = n.id and d.event in ('pushed', 'acknowledged', 'sent')))::int as "pushed",
  count(n.delivered_at)::int as "acknowledged",
  count(n.read_at)::int as "read",
  max(n.user_id) as "lastUserId"
from (
  select m.user_id, m.id, m.delivered_at, m.read_at
  from notify.notifications m
  where (m.thread_key, m.user_id) > ($1::text, $2::bigint) and m.thread_key <= $1::text
  order by m.thread_key, m.user_id
  limit $3::int
) n
