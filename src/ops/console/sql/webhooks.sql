-- Endpoints that take events, after an id (null: from the first), and what waits for them; 10001 messages: that many or more.
select
  id::text as "id",
  host as "host",
  events::text[] as "events",
  state as "state",
  disabled_because as "disabledBecause",
  failing_since as "failingSince",
  failures as "failures",
  paused_until as "pausedUntil",
  last_error as "lastError",
  waiting::float8 as "waiting",
  extract(epoch from oldest_age)::float8 as "oldestSeconds",
  sending::float8 as "sending"
from ops.webhooks
where $1::bigint is null or webhooks.id > $1::bigint
order by webhooks.id
limit $2::int
