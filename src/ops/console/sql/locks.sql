-- Transactions that hold rows or tables of ours, and who waits for them; those that others wait for first. Reads, dumps and vacuum hold up nobody, so they are
-- listed only while something waits for them.
select
  pid as "pid",
  role as "role",
  application as "application",
  state as "state",
  since as "since",
  locks as "locks",
  waiting as "waiting"
from ops.held_locks
where waiting <> '{}' or exists (select from unnest(locks) l where l !~ ' (AccessShare|ShareUpdateExclusive)Lock$')
order by cardinality(waiting) desc, since, pid
limit 1000
