-- Events that a request wrote, among the $3 newest of the log before an id (null: from the newest). The log has no index by request, which every like would have to pay for. One row.
with looked as materialized (
  select o.id, o.created_at, o.request_id
  from notify.outbox o
  where o.id < coalesce($2::bigint, 9223372036854775807)
  order by o.id desc
  limit $3::int
)
select
  (select count(*)::int from looked) as "count",
  (select min(created_at) from looked) as "backTo",
  (select min(id)::text from looked) as "last",
  coalesce((
    select jsonb_agg(jsonb_build_object(
      'eventId', o.id::text,
      'at', o.created_at,
      'action', o.action,
      'retracts', o.retracts,
      'type', o.type,
      'sourceId', o.source_id,
      'actorId', o.actor_id::text,
      'recipientId', o.recipient_id::text,
      'decision', s.decision,
      'decidedBy', s.decided_by,
      'notificationId', s.notification_id::text
    ) order by o.id)
    from (select l.id from looked l where l.request_id = $1::text limit 1000) found
    join notify.outbox o on o.id = found.id
    left join notify.sources s on s.user_id = o.recipient_id and s.source_id = o.source_id), '[]') as "events"
