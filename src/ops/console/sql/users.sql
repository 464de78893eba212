-- Users whose name begins with a text, by name, after the user with an id (null: from the first); and the one with this external id.
with named as (
  select u.id, u.username, u.display_name, u.external_id, u.role, u.created_at
  from social.users u
  where u.deleted_at is null and u.username collate "C" >= lower($1::text) and u.username collate "C" < lower($1::text) || '~'
    and ($2::bigint is null or u.username collate "C" > (select a.username from social.users a where a.id = $2::bigint))
  order by u.username collate "C"
  limit $3::int
), known as (
  select u.id, u.username, u.display_name, u.external_id, u.role, u.created_at
  from social.users u
  where u.external_id = $1::text and u.deleted_at is null and $2::bigint is null and not starts_with(u.username, lower($1::text))
)
select
  f.id as "id",
  f.username as "username",
  f.display_name as "displayName",
  f.external_id as "externalId",
  f.role as "role",
  f.created_at as "createdAt"
from (table known union all table named) f
order by f.username collate "C"
limit $3::int
