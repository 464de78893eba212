-- How many a broadcast has reached, of those still in inboxes: sent to a device, received by it, read.
select
  count(*)::int as "inInboxes",
  count(*) filter (where n.delivered_at is not null or exists (
    select
    from notify.delivery_log d
    where d.recipient_id = n.user_id and d.notification_id = n.id and d.event in ('pushed', 'acknowledged', 'sent')))::int as "pushed",
  count(n.delivered_at)::int as "acknowledged",
  count(n.read_at)::int as "read"
from notify.notifications n
where n.thread_key = $1::text
