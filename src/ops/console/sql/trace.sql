-- A notification from its request to the acknowledgement: events, decisions, states of the inbox, frames, messages.
select
  t.at as "at",
  t.step as "step",
  t.detail as "detail",
  t.event_id as "eventId",
  t.source_id as "sourceId",
  t.request_id as "requestId",
  t.modseq as "modseq",
  t.sessions::text[] as "sessions"
from notify.trace($1::bigint, $2::bigint) t
