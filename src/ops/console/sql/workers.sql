-- Worker processes; the jobs of one that is silent for 10 s are given to others.
select
  worker_id as "workerId",
  host as "host",
  pid as "pid",
  started_at as "startedAt",
  beat_at as "beatAt",
  extract(epoch from silent_for)::float8 as "silentSeconds",
  jobs_locked::int as "jobsLocked"
from ops.workers
order by host, pid, worker_id
limit 200
