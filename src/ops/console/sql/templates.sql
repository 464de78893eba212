-- Templates with their current version, oldest first, after an id.
select
  t.id as "id",
  t.name as "name",
  v.version as "version",
  v.type as "type",
  v.title as "title",
  v.body as "body",
  v.url as "url",
  v.variables as "variables",
  v.translations as "translations",
  t.created_at as "createdAt",
  t.updated_at as "updatedAt"
from notify.templates t
join notify.template_versions v on v.template_id = t.id and v.version = t.version
where t.deleted_at is null and t.id > $1::bigint
order by t.id
limit $2::int
