-- How far each lane of each consumer has read the log; 10001 events: that many or more.
select
  consumer as "consumer",
  lane::int as "lane",
  critical as "critical",
  events::float8 as "events",
  oldest_at as "oldestAt",
  extract(epoch from age)::float8 as "ageSeconds",
  moved_at as "movedAt",
  failing_since as "failingSince",
  last_error as "lastError",
  paused_at as "pausedAt"
from ops.lag
order by consumer, lane
