-- Circuit breakers of each process towards mail server and push services, and pauses of webhooks; after a role, process and name (null: from the first).
select
  b.role as "role",
  b.process as "process",
  b.name as "name",
  b.state as "state",
  b.closed as "secondsUntilTrial",
  b.seen_at as "seenAt"
from (
  select p.role, p.host || ':' || p.pid, n.name, case when n.closed > 0 then 'open' else 'closed' end, n.closed, p.beat_at
  from notify.processes p
  cross join lateral jsonb_to_recordset(p.breakers) n (name text, closed float8)
  union all
  select
    'worker',
    'all',
    'webhook ' || w.id || ' ' || w.host,
    case when w.disabled_at is not null then 'disabled' when w.paused_until > now() then 'open' else 'closed' end,
    greatest(extract(epoch from w.paused_until - now()), 0)::float8,
    now()
  from ops.webhooks w
) b (role, process, name, state, closed, seen_at)
where $1::text is null or (b.role, b.process, b.name) > ($1::text, $2::text, $3::text)
order by b.role, b.process, b.name
limit $4::int
