-- Events committed in each of the last 24 hours. The log has no index by time: each border is found by halving the range of ids.
with recursive ends as materialized (
  select coalesce(min(id), 0) as first_id, coalesce(max(id), 0) as last_id from notify.outbox
), search as (
  select h.at, e.first_id as low, e.last_id + 1 as high
  from ends e
  cross join generate_series(date_trunc('hour', now()) - interval '23 hours', date_trunc('hour', now()) + interval '1 hour', interval '1 hour') h (at)
  union all
  select
    s.at,
    case when m.created_at < s.at then (s.low + s.high) / 2 + 1 else s.low end,
    case when m.created_at < s.at then s.high else (s.low + s.high) / 2 end
  from search s
  left join lateral (select o.created_at from notify.outbox o where o.id >= (s.low + s.high) / 2 order by o.id limit 1) m on true
  where s.low < s.high
), borders as (
  select at, max(low) as id from search group by at
)
select at as "at", (coalesce(lead(id) over (order by at), id) - id)::float8 as "events"
from borders
order by at
limit 24
