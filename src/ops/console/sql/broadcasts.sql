-- Broadcasts, newest first, before an id (null: from the newest).
select
  b.id as "id",
  b.name as "name",
  b.state as "state",
  b.template_id as "templateId",
  b.template_version as "templateVersion",
  b.segment_id as "segmentId",
  b.audience as "audience",
  b.content as "content",
  b.priority as "priority",
  b.channels::text[] as "channels",
  coalesce(to_char(b.wall_time, 'YYYY-MM-DD"T"HH24:MI:SS'), to_char(b.send_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')) as "sendAt",
  case when b.wall_time is not null then 'recipient' end as "timeZone",
  b.per_second as "perSecond",
  b.expires_in as "expiresIn",
  b.last_error as "lastError",
  b.created_by as "createdBy",
  b.created_at as "createdAt",
  b.started_at as "startedAt",
  b.finished_at as "finishedAt",
  b.recalled_at as "recalledAt",
  b.recall_finished_at as "recallFinishedAt"
from notify.broadcasts b
where $1::bigint is null or b.id < $1::bigint
order by b.id desc
limit $2::int
