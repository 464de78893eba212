-- What the preferences of a user decide at a time (null: now), for each type and channel, after a type and channel (null: from the first).
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
where $3::text is null or (t.type, c.place) > ($3::text, array_position(array['inApp', 'email', 'webPush'], $4::text))
order by t.type, c.place
limit $5::int
