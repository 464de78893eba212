-- Dead letters counted by cause: the class of the error and the form of its message. The most frequent first, after a count and an `upTo` (null: from the
-- first).
select
  d.cause as "cause",
  count(*)::int as "count",
  max(d.id)::text as "upTo",
  min(d.dead_at) as "oldestAt",
  max(d.dead_at) as "newestAt",
  max(d.last_error) as "anError"
from ops.dead_letters d
group by d.cause
having $1::bigint is null or (count(*), max(d.id)) < ($1::bigint, $2::bigint)
order by count(*) desc, max(d.id) desc
limit $3::int
