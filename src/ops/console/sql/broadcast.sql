-- A broadcast and its progress, exact in this snapshot: each chunk adds what it decided, and those who are late are looked up one by one.
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
  b.recall_finished_at as "recallFinishedAt",
  b.total as "total",
  b.done - l.deleted as "done",
  b.stored + l.stored as "stored",
  b.filtered + l.filtered as "filtered",
  b.suppressed + l.suppressed as "suppressed",
  b.failed + l.failed as "failed",
  b.recalled as "recalled",
  case when b.state = 'running' then (b.done - b.measured_done) / greatest(1, extract(epoch from now() - b.measured_from))::float8 end as "rate"
from notify.broadcasts b
cross join lateral (
  select
    count(*) filter (where s.notified and s.decision <> 'filtered')::int as stored,
    count(*) filter (where s.decision = 'filtered')::int as filtered,
    count(*) filter (where not s.notified)::int as suppressed,
    count(*) filter (where p.dead_at is not null or s.user_id is null and p.event_id is null and i.user_id is not null)::int as failed,
    count(*) filter (where s.user_id is null and p.event_id is null and i.user_id is null)::int as deleted
  from notify.broadcast_late t
  left join notify.sources s on s.user_id = t.recipient_id and s.source_id = 'broadcast:' || $1::bigint
  left join notify.pending p on p.event_id = t.event_id and p.consumer = 'notifications' and s.user_id is null
  left join notify.inbox i on i.user_id = t.recipient_id
  where t.broadcast_id = b.id
) l
where b.id = $1::bigint
