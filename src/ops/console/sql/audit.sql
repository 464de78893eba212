-- Who changed what, newest first; each condition applies unless it is null.
select
  a.id as "id",
  a.at as "at",
  a.actor as "actor",
  a.action as "action",
  a.target as "target",
  a.before as "before",
  a.after as "after",
  a.request_id as "requestId",
  a.address as "address",
  a.database_role as "databaseRole",
  a.application as "application",
  encode(a.hash, 'hex') as "hash"
from notify.audit a
where ($1::text is null or a.actor = $1::text)
  and ($2::text is null or a.action = $2::text)
  and ($3::text is null or a.target = $3::text)
  and ($4::timestamptz is null or a.at >= $4::timestamptz)
  and ($5::timestamptz is null or a.at < $5::timestamptz)
  and ($6::bigint is null or a.id < $6::bigint)
order by a.id desc
limit $7::int
