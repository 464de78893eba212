-- Settings of the notification types, by name. The table is small, so pages use an offset.
select
  type as "type",
  priority as "priority",
  followed_priority as "followedPriority",
  severity as "severity",
  channels as "channels",
  instant_threshold as "instantThreshold",
  window_seconds as "windowSeconds",
  jitter as "jitter",
  max_group_size as "maxGroupSize",
  extract(epoch from retention)::float8 as "retentionSeconds",
  dnd as "dnd",
  title as "title",
  body as "body",
  url as "url",
  fallback as "fallback",
  words as "words",
  updated_at as "updatedAt"
from notify.types
order by type
offset $1::int
limit $2::int
