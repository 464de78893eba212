-- Events that failed or were held up, and wait for another attempt; the next attempts first.
select
  id::text as "id",
  consumer as "consumer",
  event_id::text as "eventId",
  recipient_id::text as "recipientId",
  source_id as "sourceId",
  attempts as "attempts",
  due_at as "dueAt",
  last_error as "lastError",
  created_at as "createdAt"
from ops.pending
order by due_at, id
limit $1::int
