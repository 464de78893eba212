-- What the preferences of a user decide at a time, for each type and channel.
select
  t.type as "type",
  c.channel as "channel",
  e.decision as "decision",
  e.decided_by as "decidedBy",
  e.reason as "reason",
  e.until as "until"
from notify.types t
cross join unnest(array['inApp', 'email', 'webPush']) with ordinality c (channel, place)
cross join lateral notify.explain($1::bigint, t.type, c.channel, coalesce($2::timestamptz, now())) e
order by t.type, c.place
