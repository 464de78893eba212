-- Step by step, why a user did not get a notification, by the source of its event.
select
  step as "step",
  result as "result",
  reason as "reason",
  at as "at",
  source as "source"
from notify.why_not($1::bigint, $2::text)
