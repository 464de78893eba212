-- Jobs of graphile-worker by task and state. Jobs are hints; the work itself is in tables.
select
  task as "task",
  state as "state",
  jobs::float8 as "jobs",
  oldest_run_at as "oldestRunAt",
  most_attempts::int as "mostAttempts",
  an_error as "anError"
from ops.jobs
order by task, state
