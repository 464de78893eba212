-- Every retention time and limit in force, and where it is set.
select role as "role", name as "name", value as "value", set_by as "setBy", written_at as "writtenAt"
from ops.settings
order by name, role nulls first
limit 1000
