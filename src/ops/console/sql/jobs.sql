-- Jobs of graphile-worker by task and state, after a task and state (null: from the first). Jobs are hints; the work itself is in tables.
select
  task as "task",
  state as "state",
  jobs::float8 as "jobs",
  oldest_run_at as "oldestRunAt",
  most_attempts::int as "mostAttempts",
  an_error as "anError"
from ops.jobs
where $1::text is null or (task, state) > ($1::text, $2::text)
order by task, state
limit $3::int
