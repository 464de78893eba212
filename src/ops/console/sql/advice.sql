-- Settings and held snapshots of the database server that cost something, with the statement that changes each. Sizes for a memory such as 16GB; null: those
-- that show in the statistics.
select
  setting as "setting",
  value as "value",
  advised as "advised",
  reason as "reason",
  statement as "statement"
from ops.advice($1::text)
