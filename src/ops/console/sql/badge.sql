-- The counts of an inbox as stored, and recounted from its rows in the same snapshot.
select
  i.user_id::text as "userId",
  u.username as "username",
  i.modseq::text as "modseq",
  i.seen_modseq::text as "seenModseq",
  i.acked_modseq::text as "ackedModseq",
  i.floor_modseq::text as "floorModseq",
  i.unread_count as "unreadCount",
  (select count(*)
   from notify.notifications n
   where n.user_id = i.user_id and n.read_at is null and n.archived_at is null and not n.filtered)::int as "unreadRecounted",
  i.unseen_count as "unseenCount",
  (select count(*)
   from notify.notifications n
   where n.user_id = i.user_id and n.grown_modseq > i.seen_modseq and n.read_at is null and n.archived_at is null and not n.filtered)::int as "unseenRecounted",
  (select count(*) from notify.windows w where w.user_id = i.user_id)::int as "windows",
  (select count(*) from notify.sources s where s.user_id = i.user_id and s.waits_for is not null)::int as "waiting",
  i.has_preferences as "hasPreferences",
  i.reachable_by::text[] as "reachableBy"
from notify.inbox i
join social.users u on u.id = i.user_id
where i.user_id = $1::bigint
