-- Events that failed or were held up, and wait for another attempt; the next attempts first. From a time ($1, microseconds since 1970) and id on, without $3
-- rows.
select
  id::text as "id",
  consumer as "consumer",
  event_id::text as "eventId",
  recipient_id::text as "recipientId",
  source_id as "sourceId",
  attempts as "attempts",
  due_at as "dueAt",
  last_error as "lastError",
  created_at as "createdAt",
  (extract(epoch from due_at) * 1000000)::bigint || ',' || id as "position"
from ops.pending
where (due_at, id) >= (coalesce(timestamptz 'epoch' + $1::bigint * interval '1 microsecond', '-infinity'), coalesce($2::bigint, 0))
order by due_at, id
offset $3::int
limit $4::int
