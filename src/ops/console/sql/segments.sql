-- Segments, oldest first, after an id: users by a rule or by a query.
select
  id as "id",
  name as "name",
  rule as "rule",
  query as "sql",
  created_at as "createdAt",
  updated_at as "updatedAt"
from social.segments
where id > $1::bigint
order by id
limit $2::int
