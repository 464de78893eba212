-- Transactions that hold rows or tables of ours, and who waits for them; those that others wait for first. Readers, dumps and vacuum are listed only while
-- something waits for them.
select
  pid as "pid",
  role as "role",
  application as "application",
  state as "state",
  since as "since",
  locks as "locks",
  waiting as "waiting"
from ops.held_locks
where holds_up
order by cardinality(waiting) desc, since, pid
limit 1000
