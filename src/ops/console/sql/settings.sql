-- Every retention time and limit in force, after a name and role (null: from the first), and where it is set.
select role as "role", name as "name", value as "value", set_by as "setBy", written_at as "writtenAt"
from ops.settings
where $1::text is null or (name, coalesce(role, '')) > ($1::text, $2::text)
order by name, coalesce(role, '')
limit $3::int
