-- Processes of every role by their heartbeats in notify.processes, with the workers of each in notify.workers; after a role, host and pid (null: from
-- the first). The jobs of a worker that is silent for 10 s are given to others.
with workers as (
  select
    host,
    pid,
    array_agg(worker_id order by worker_id) as worker_ids,
    min(started_at) as started_at,
    max(beat_at) as beat_at,
    sum(jobs_locked)::int as jobs_locked
  from ops.workers
  group by host, pid
)
select
  coalesce(p.role, 'worker') as "role",
  host as "host",
  pid as "pid",
  coalesce(p.started_at, w.started_at) as "startedAt",
  greatest(p.beat_at, w.beat_at) as "beatAt",
  extract(epoch from now() - greatest(p.beat_at, w.beat_at))::float8 as "silentSeconds",
  coalesce(w.worker_ids, '{}')::text[] as "workerIds",
  coalesce(w.jobs_locked, 0) as "jobsLocked",
  p.memory_bytes::float8 as "memoryBytes",
  coalesce(p.figures, '{}') as "figures"
from notify.processes p
full join workers w using (host, pid)
where $1::text is null or (coalesce(p.role, 'worker'), host, pid) > ($1::text, $2::text, $3::int)
order by coalesce(p.role, 'worker'), host, pid
limit $4::int
