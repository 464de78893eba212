-- Dead letters, newest first, before an id, of one cause, or with an id, unless null. The content of the events only when revealed ($5).
select
  d.id as "id",
  d.consumer as "consumer",
  d.event_id as "eventId",
  d.recipient_id as "recipientId",
  d.source_id as "sourceId",
  d.type as "type",
  d.attempts as "attempts",
  d.cause as "cause",
  d.last_error as "lastError",
  d.created_at as "createdAt",
  d.dead_at as "deadAt",
  case when $5::boolean then d.event else d.event - 'data' end as "event"
from ops.dead_letters d
where ($1::bigint is null or d.id < $1::bigint)
  and ($3::text is null or d.cause = $3::text)
  and ($4::bigint is null or d.id = $4::bigint)
order by d.id desc
limit $2::int
