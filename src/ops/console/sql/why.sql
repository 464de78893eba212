-- What was decided about one notification, and what the preferences decide now about email and Web Push.
select
  n.type as "type",
  w.channel as "channel",
  w.decision as "decision",
  w.decided_by as "decidedBy",
  w.reason as "reason",
  w.until as "until"
from notify.notifications n
cross join lateral notify.why(n.user_id, n.id) w
where n.user_id = $1::bigint and n.id = $2::bigint
order by w.channel, w.at
