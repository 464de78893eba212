-- Every user's inbox. Each table here is keyed by user first and refers to no other user's rows, so that it can be distributed.

create table notify.inbox (
  user_id bigint primary key,
  modseq bigint not null default 0,
  unread_count integer not null default 0 constraint unread_count_not_negative check (unread_count >= 0),
  unseen_count integer not null default 0 constraint unseen_count_not_negative check (unseen_count >= 0),
  acked_modseq bigint not null default 0,
  seen_modseq bigint not null default 0,
  floor_modseq bigint not null default 0,
  grown_at timestamptz(3) not null default '-infinity',
  has_preferences boolean not null default false,
  reachable_by text[] not null default '{}'
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
comment on table notify.inbox is 'One row per user, made at sign-up. A transaction that changes a user''s notifications locks it first, gives each changed row the next modseq, and sets the counts. fillfactor 50: updated by every batch that concerns the user, no index touched (HOT).';
comment on column notify.inbox.user_id is 'Owner of the inbox.';
comment on column notify.inbox.modseq is 'Number of changes so far; the n of the state <epoch>.<n>.';
comment on column notify.inbox.unread_count is 'Notifications neither read, archived nor filtered.';
comment on column notify.inbox.unseen_count is 'Notifications neither read, archived nor filtered whose content grew after seen_modseq.';
comment on column notify.inbox.acked_modseq is 'Some device has acknowledged everything up to here.';
comment on column notify.inbox.seen_modseq is 'Content that grew at or before this has been seen.';
comment on column notify.inbox.floor_modseq is 'Tombstones up to here are purged: a state below cannot be resumed.';
comment on column notify.inbox.grown_at is 'No notification of the inbox has grown later. The next one grows a millisecond later or more, whatever the clock says, so updated_at has the order of grown_modseq.';
comment on column notify.inbox.has_preferences is 'Whether notify.preferences has a row of the user.';
comment on column notify.inbox.reachable_by is 'Channels besides the app that can reach the user: email with a verified address, webPush with a subscription.';

create table notify.notifications (
  user_id bigint not null,
  id bigint not null,
  modseq bigint not null,
  grown_modseq bigint not null,
  type text collate "C" not null,
  priority text not null default 'normal' constraint priority_known check (priority in ('critical', 'high', 'normal', 'low')),
  severity text not null default 'info' constraint severity_known check (severity in ('info', 'success', 'warning', 'error')),
  title text,
  body text,
  url text,
  data jsonb not null default '{}',
  group_key text collate "C",
  thread_key text collate "C",
  object_type text,
  object_id text,
  actor_ids bigint[] not null default '{}',
  followed_actors smallint not null default 0,
  actor_count integer not null default 0 constraint actor_count_not_negative check (actor_count >= 0),
  silent boolean not null default false,
  filtered boolean not null default false,
  filter_reason text collate "C",
  request_id text,
  created_at timestamptz not null default now(),
  updated_at timestamptz(3) not null default now(),
  delivered_at timestamptz,
  read_at timestamptz,
  archived_at timestamptz,
  expires_at timestamptz not null,
  closed_at timestamptz,
  primary key (user_id, id)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.05);
comment on table notify.notifications is 'The content of the inboxes. delivered_at is in no index and fillfactor is 50, so that acknowledging is a HOT update, also of a page that was filled a moment ago.';
comment on column notify.notifications.user_id is 'Owner of the inbox.';
comment on column notify.notifications.id is 'Its first modseq: unique within the user.';
comment on column notify.notifications.modseq is 'Modseq of its last change of any kind.';
comment on column notify.notifications.grown_modseq is 'Modseq at which its content last grew; lists sort by it, seen and acknowledged are watermarks over it.';
comment on column notify.notifications.type is 'Type, for example post.liked.';
comment on column notify.notifications.priority is 'critical, high, normal or low.';
comment on column notify.notifications.severity is 'info, success, warning or error.';
comment on column notify.notifications.title is 'Title as sent; null where it is rendered from the type.';
comment on column notify.notifications.body is 'Body as sent; null where it is rendered from the type.';
comment on column notify.notifications.url is 'Link as sent; null where it is rendered from the type.';
comment on column notify.notifications.data is 'Facts for clients, of the latest event.';
comment on column notify.notifications.group_key is 'Key of its group; null: not grouped.';
comment on column notify.notifications.thread_key is 'The post it belongs to, post:<id>, or the broadcast, broadcast:<id>.';
comment on column notify.notifications.object_type is 'Kind of the object it is about.';
comment on column notify.notifications.object_id is 'Id of the object it is about.';
comment on column notify.notifications.actor_ids is 'Distinct actors, up to 8: those whom the recipient follows first, then by latest; 3 are shown, the others replace retracted ones.';
comment on column notify.notifications.followed_actors is 'How many of actor_ids, from the first one on, the recipient follows.';
comment on column notify.notifications.actor_count is 'Distinct people behind it.';
comment on column notify.notifications.silent is 'Shown without toast or sound.';
comment on column notify.notifications.filtered is 'Not in the app: not counted, not in changes. filter_reason has the cause.';
comment on column notify.notifications.filter_reason is 'strangers: held back by the policy. otherChannels: wanted by email or push only. Null: not filtered.';
comment on column notify.notifications.request_id is 'Request behind its newest event; the push node logs it when the notification is sent.';
comment on column notify.notifications.created_at is 'Time of the first event in it.';
comment on column notify.notifications.updated_at is 'Time at which its content last grew, in milliseconds as clients see it. Within an inbox it has the order of grown_modseq, without equals.';
comment on column notify.notifications.delivered_at is 'Time at which a device acknowledged its latest content; not part of the state.';
comment on column notify.notifications.read_at is 'Null: unread.';
comment on column notify.notifications.archived_at is 'Null: not archived.';
comment on column notify.notifications.expires_at is 'Time from which retention removes it.';
comment on column notify.notifications.closed_at is 'Time its group closed: first read, archived, or 24 hours old. Never unset; later events open the next group.';

create unique index notifications_open_group on notify.notifications (user_id, group_key, coalesce(filter_reason, 'none'))
  where closed_at is null and group_key is not null;
comment on index notify.notifications_open_group is 'Grouping: at most one open group per key and filter.';

create unique index notifications_by_change on notify.notifications (user_id, modseq);
comment on index notify.notifications_by_change is 'Changes since a state.';

create unique index notifications_by_growth on notify.notifications (user_id, grown_modseq);
comment on index notify.notifications_by_growth is 'Lists and acknowledgements.';

create index notifications_unread on notify.notifications (user_id, grown_modseq) where read_at is null and archived_at is null and not filtered;
comment on index notify.notifications_unread is 'The unread list and mark-all-read.';

create index notifications_of_thread on notify.notifications (thread_key, user_id) where thread_key is not null;
comment on index notify.notifications_of_thread is 'Deletion of a post, recall of a broadcast.';

create index notifications_by_expiry on notify.notifications (expires_at, user_id);
comment on index notify.notifications_by_expiry is 'Retention.';

create table notify.sources (
  user_id bigint not null,
  source_id text collate "C" not null,
  event_id bigint not null,
  notification_id bigint,
  actor_id bigint not null default 0,
  live boolean not null,
  notified boolean not null,
  silent boolean not null default false,
  decision text not null,
  decided_by text,
  decided_at timestamptz not null default now(),
  waits_for text collate "C",
  waits_filter text collate "C" not null default 'none',
  primary key (user_id, source_id)
) with (fillfactor = 90);
comment on table notify.sources is 'One row per user and source id: the latest event of the source and its result. An event is applied only if its id is above event_id. Rows live as long as their notification and at least 30 days.';
comment on column notify.sources.user_id is 'Owner of the inbox that the source concerns.';
comment on column notify.sources.source_id is 'The source, for example like:9:4.';
comment on column notify.sources.event_id is 'Id of the latest event of the source.';
comment on column notify.sources.notification_id is 'The notification it belongs or belonged to, if any.';
comment on column notify.sources.actor_id is 'The user who acted; 0: nobody, as for a send without actor.';
comment on column notify.sources.live is 'True while it counts among the actors of notification_id. Meaningless once that notification is removed: sources of a large group are ended in chunks afterwards.';
comment on column notify.sources.notified is 'True once it has ever been shown: the same source never notifies twice.';
comment on column notify.sources.silent is 'True when the recipient wanted quiet.';
comment on column notify.sources.decision is 'shown, rejoined, waiting, retracted, stale_group, suppressed, filtered, object_gone, removed, or expired (its notification, or the send before dispatch).';
comment on column notify.sources.decided_by is 'The rule that decided: sender (a broadcast for other channels), self, block, mute, threadMute, strangers, critical, typePreference, channelPreference, typeDefault, dnd, snooze, cap.';
comment on column notify.sources.decided_at is 'Time of the decision.';
comment on column notify.sources.waits_for is 'Key of the group whose window it waits for; null: it does not wait.';
comment on column notify.sources.waits_filter is 'Filter of the window it waits for.';

create index sources_live on notify.sources (user_id, notification_id, actor_id, event_id) where live;
comment on index notify.sources_live is 'The sources behind a notification.';

create index sources_of_broadcasts on notify.sources (source_id, user_id) where source_id like 'broadcast:%';
comment on index notify.sources_of_broadcasts is 'Recipients of a broadcast, by user.';

create index sources_waiting on notify.sources (user_id, waits_for, actor_id, event_id) where waits_for is not null;
comment on index notify.sources_waiting is 'Flushing a window.';

create table notify.windows (
  user_id bigint not null,
  group_key text collate "C" not null,
  filter text collate "C" not null default 'none' constraint window_filter_known check (filter in ('none', 'strangers', 'otherChannels')),
  type text collate "C" not null,
  object_type text,
  object_id text,
  thread_key text collate "C",
  data jsonb not null default '{}',
  opened_at timestamptz not null default now(),
  due_at timestamptz not null,
  attempts integer not null default 0,
  last_error text,
  primary key (user_id, group_key, filter)
) with (autovacuum_vacuum_scale_factor = 0.05);
comment on table notify.windows is 'Groups that gather: later sources wait in notify.sources (waits_for) until the window is due, then one update shows all of them.';
comment on column notify.windows.user_id is 'Owner of the inbox.';
comment on column notify.windows.group_key is 'Key of the group.';
comment on column notify.windows.filter is 'Why its sources are filtered: strangers or otherChannels, as in notify.notifications.filter_reason; none: they are not.';
comment on column notify.windows.type is 'Type of the group''s notifications.';
comment on column notify.windows.object_type is 'Kind of the object it is about.';
comment on column notify.windows.object_id is 'Id of the object it is about.';
comment on column notify.windows.thread_key is 'The post it belongs to, post:<id>.';
comment on column notify.windows.data is 'Facts of the latest event.';
comment on column notify.windows.opened_at is 'Time at which the first source began to wait.';
comment on column notify.windows.due_at is 'Time of the flush, or of the next attempt after a failure.';
comment on column notify.windows.attempts is 'Failed attempts to flush it; the delay between them grows to an hour.';
comment on column notify.windows.last_error is 'Error of the last attempt.';

create index windows_due on notify.windows (due_at, user_id);
comment on index notify.windows_due is 'Windows to flush.';

create index windows_failing on notify.windows (user_id) where attempts > 0;
comment on index notify.windows_failing is 'Serves ops.failing_windows.';

create table notify.tombstones (
  user_id bigint not null,
  modseq bigint not null,
  id bigint not null,
  removed_at timestamptz not null default now(),
  primary key (user_id, modseq)
);
comment on table notify.tombstones is 'Removed notifications and the modseq of their removal, for changes; purged after 30 days together with floor_modseq.';
comment on column notify.tombstones.user_id is 'Owner of the inbox.';
comment on column notify.tombstones.modseq is 'Modseq of the removal.';
comment on column notify.tombstones.id is 'Id of the notification that was removed.';
comment on column notify.tombstones.removed_at is 'Time of the removal.';

create index tombstones_by_age on notify.tombstones (removed_at, user_id);
comment on index notify.tombstones_by_age is 'Retention.';

create table notify.retention_cursors (
  name text collate "C" primary key,
  after_user bigint not null default 0,
  after_source text collate "C" not null default '',
  rounds bigint not null default 0,
  moved_at timestamptz not null default now()
);
comment on table notify.retention_cursors is 'Progress of retention in tables that it walks through, a share with each run. A row may be deleted: the walk then starts anew.';
comment on column notify.retention_cursors.name is 'sources: notify.sources, walked through once a day.';
comment on column notify.retention_cursors.after_user is 'User of the last row read.';
comment on column notify.retention_cursors.after_source is 'Source id of the last row read.';
comment on column notify.retention_cursors.rounds is 'How often the walk has reached the end.';
comment on column notify.retention_cursors.moved_at is 'Time of the last move.';
