-- Dead letters counted by cause: the class of the error and the form of its message.
select
  d.cause as "cause",
  count(*)::int as "count",
  max(d.id)::text as "upTo",
  min(d.dead_at) as "oldestAt",
  max(d.dead_at) as "newestAt",
  max(d.last_error) as "anError"
from ops.dead_letters d
group by d.cause
order by 2 desc, 1
limit 200
