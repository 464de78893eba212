-- Circuit breakers of each process towards mail server and push services, and pauses of webhooks.
select
  p.role as "role",
  p.host || ':' || p.pid as "process",
  b.name as "name",
  case when b.closed > 0 then 'open' else 'closed' end as "state",
  b.closed as "secondsUntilTrial",
  p.beat_at as "seenAt"
from notify.processes p
cross join lateral jsonb_to_recordset(p.breakers) b (name text, closed float8)
union all
select
  'worker',
  'all',
  'webhook ' || w.host,
  case when w.disabled_at is not null then 'disabled' when w.paused_until > now() then 'open' else 'closed' end,
  greatest(extract(epoch from w.paused_until - now()), 0)::float8,
  now()
from ops.webhooks w
order by 1, 2, 3
