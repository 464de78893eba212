-- Inboxes. The key of each table in this file begins with the user, and no row refers to rows of another user, so that the tables can be
-- distributed over several nodes.

create table notify.inbox (
  user_id bigint not null,
  modseq bigint not null default 0,
  era bigint not null default 0 constraint era_of_modseq check (era = modseq / 8),
  unread_count integer not null default 0 constraint unread_count_not_negative check (unread_count >= 0),
  unseen_count integer not null default 0 constraint unseen_count_not_negative check (unseen_count >= 0),
  acked_modseq bigint not null default 0,
  seen_modseq bigint not null default 0,
  floor_modseq bigint not null default 0,
  grown_at timestamptz(3) not null default '-infinity',
  has_preferences boolean not null default false,
  reachable_by text[] not null default '{}',
  primary key (user_id, era)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
comment on table notify.inbox is 'One row per user, created at sign-up. A transaction that changes the notifications of a user locks this row first, gives each changed notification the next modseq, and sets the counts. fillfactor 50, because every batch for the user updates the row; no index is touched (HOT) until the era ends. Only the statement that creates a user inserts its inbox, so there is one.';
comment on column notify.inbox.user_id is 'Owner of the inbox.';
comment on column notify.inbox.modseq is 'Number of changes so far. It is the <n> of the state <epoch>.<n>.';
comment on column notify.inbox.era is 'A new one begins every 8 changes. While a transaction stays open, PostgreSQL keeps all versions of the row; lookups begin with the newest era, so they read the versions of one era at most; those of fan-outs, sends and preferences go by user alone and read all. With each change in the key, each would write the index: 8 % more WAL records per notification, not 1 %. The statements that set modseq set it, because a publication leaves out generated columns and then refuses updates of a table with one in its key (manual, "Generated Column Replication").';
comment on column notify.inbox.unread_count is 'Number of notifications that are neither read, archived nor filtered.';
comment on column notify.inbox.unseen_count is 'Number of notifications that are neither read, archived nor filtered and grew after seen_modseq.';
comment on column notify.inbox.acked_modseq is 'Highest modseq up to which a device has acknowledged all changes.';
comment on column notify.inbox.seen_modseq is 'Modseq up to which the user has seen the inbox: notifications that grew later are unseen.';
comment on column notify.inbox.floor_modseq is 'Tombstones up to this modseq are removed. A client with a lower state must fetch its list again.';
comment on column notify.inbox.grown_at is 'No notification of the inbox has grown later. The next one grows a millisecond later or more, whatever the clock says, so updated_at has the order of grown_modseq.';
comment on column notify.inbox.has_preferences is 'True if notify.preferences has a row for the user.';
comment on column notify.inbox.reachable_by is 'Channels besides the app that can reach the user: email with a verified address, webPush with a push subscription.';

create table notify.notifications (
  user_id bigint not null,
  id bigint not null,
  modseq bigint not null,
  grown_modseq bigint not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz(3) not null default now(),
  expires_at timestamptz not null,
  actor_count integer not null default 0 constraint actor_count_not_negative check (actor_count >= 0),
  followed_actors smallint not null default 0,
  silent boolean not null default false,
  filtered boolean not null default false,
  delivered_at timestamptz,
  read_at timestamptz,
  archived_at timestamptz,
  closed_at timestamptz,
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
  filter_reason text collate "C",
  request_id text,
  primary key (user_id, id)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.05);
comment on table notify.notifications is 'The notifications of all inboxes. delivered_at is in no index and fillfactor is 50, so that an acknowledgement is a HOT update, even on a page filled a moment ago. Columns of fixed width come first, which saves padding.';
comment on column notify.notifications.user_id is 'Owner of the inbox.';
comment on column notify.notifications.id is 'Modseq of the notification''s creation: unique within the user.';
comment on column notify.notifications.modseq is 'Modseq of the last change of any kind.';
comment on column notify.notifications.grown_modseq is 'Modseq at which the notification last grew: an event was added. Lists are sorted by it; seen_modseq and acked_modseq of the inbox are compared with it.';
comment on column notify.notifications.type is 'Type, for example post.liked.';
comment on column notify.notifications.priority is 'critical, high, normal or low.';
comment on column notify.notifications.severity is 'info, success, warning or error.';
comment on column notify.notifications.title is 'Title as sent. Null: rendered from the type.';
comment on column notify.notifications.body is 'Body as sent. Null: rendered from the type.';
comment on column notify.notifications.url is 'Link as sent. Null: rendered from the type.';
comment on column notify.notifications.data is 'Data of the latest event, for clients.';
comment on column notify.notifications.group_key is 'Key of the group. Null: not grouped.';
comment on column notify.notifications.thread_key is 'Key of the thread: post:<id> for a post, broadcast:<id> for a broadcast; null: none.';
comment on column notify.notifications.object_type is 'Kind of the object that the notification is about.';
comment on column notify.notifications.object_id is 'Id of the object that the notification is about.';
comment on column notify.notifications.actor_ids is 'Up to 8 distinct actors. People whom the recipient follows come first; within both parts, the latest actor first. 3 are shown, the others replace retracted ones.';
comment on column notify.notifications.followed_actors is 'How many actors at the beginning of actor_ids the recipient follows.';
comment on column notify.notifications.actor_count is 'Number of distinct people behind the notification.';
comment on column notify.notifications.silent is 'True if it is shown without toast or sound.';
comment on column notify.notifications.filtered is 'True if the app does not show the notification: it is neither counted nor sent as a change. filter_reason has the reason.';
comment on column notify.notifications.filter_reason is 'strangers: hidden by the policy for strangers. otherChannels: wanted by email or push only. Null: not filtered.';
comment on column notify.notifications.request_id is 'Id of the request that caused the newest event. The push node logs it when it sends the notification.';
comment on column notify.notifications.created_at is 'Time of the first event of the notification.';
comment on column notify.notifications.updated_at is 'Time at which the notification last grew, cut to milliseconds as clients see it, so that clients sort as the server does.';
comment on column notify.notifications.delivered_at is 'Time at which a device acknowledged the latest content; null: none has. Setting it does not change the state.';
comment on column notify.notifications.read_at is 'Time at which it was read. Null: unread.';
comment on column notify.notifications.archived_at is 'Time at which it was archived. Null: not archived.';
comment on column notify.notifications.expires_at is 'Time after which retention removes the notification.';
comment on column notify.notifications.closed_at is 'Time at which the group closed, because it was read, archived or 24 hours old; null: open. A closed group never opens again; later events start the next group.';

create unique index notifications_open_group on notify.notifications (user_id, group_key, coalesce(filter_reason, 'none'))
  where closed_at is null and group_key is not null;
comment on index notify.notifications_open_group is 'Grouping: one open group per key and filter at most.';

create unique index notifications_by_change on notify.notifications (user_id, modseq);
comment on index notify.notifications_by_change is 'Reads the changes after a state.';

create unique index notifications_by_growth on notify.notifications (user_id, grown_modseq);
comment on index notify.notifications_by_growth is 'Reads lists, and finds notifications to acknowledge.';

create index notifications_unread on notify.notifications (user_id, grown_modseq) where read_at is null and archived_at is null and not filtered;
comment on index notify.notifications_unread is 'Reads the unread list, and finds notifications for "mark all as read".';

create index notifications_of_thread on notify.notifications (thread_key, user_id) where thread_key is not null;
comment on index notify.notifications_of_thread is 'Finds the notifications of a deleted post or a recalled broadcast.';

create index notifications_by_expiry on notify.notifications (expires_at, user_id);
comment on index notify.notifications_by_expiry is 'Finds expired rows for retention.';

create table notify.sources (
  user_id bigint not null,
  event_id bigint not null,
  notification_id bigint,
  actor_id bigint not null default 0,
  decided_at timestamptz not null default now(),
  live boolean not null,
  notified boolean not null,
  silent boolean not null default false,
  source_id text collate "C" not null,
  decision text not null,
  decided_by text,
  waits_for text collate "C",
  waits_filter text collate "C" not null default 'none',
  primary key (user_id, source_id)
);
comment on table notify.sources is 'One row per user and source id: the latest event of the source and its result. An event is applied only if its id is above event_id. A row exists as long as its notification, and at least 30 days.';
comment on column notify.sources.user_id is 'Owner of the inbox.';
comment on column notify.sources.source_id is 'Id of the source, such as like:9:4.';
comment on column notify.sources.event_id is 'Id of the latest event of the source.';
comment on column notify.sources.notification_id is 'The notification to which the source belongs or belonged; null: none.';
comment on column notify.sources.actor_id is 'The user who acted; 0 for a send without actor.';
comment on column notify.sources.live is 'True while the source counts in the notification notification_id. Has no meaning after the removal of that notification: the sources of a large group are retracted in chunks afterwards.';
comment on column notify.sources.notified is 'True if the source was ever shown; then it never notifies again.';
comment on column notify.sources.silent is 'True if the recipient wanted quiet when the event was applied.';
comment on column notify.sources.decision is 'Result: shown, rejoined, waiting, retracted, stale_group, suppressed, filtered, object_gone, removed, or expired (the notification expired, or the send did before dispatch).';
comment on column notify.sources.decided_by is 'Rule that decided: sender (a broadcast for other channels), self, block, mute, threadMute, strangers, critical, typePreference, channelPreference, typeDefault, dnd, snooze, cap. Null: no rule.';
comment on column notify.sources.decided_at is 'Time of the decision.';
comment on column notify.sources.waits_for is 'Key of the group whose window the source waits for. Null: it does not wait.';
comment on column notify.sources.waits_filter is 'Filter of the window that the source waits for, as in notify.windows.filter; none: no filter, or it does not wait.';

create index sources_live on notify.sources (user_id, notification_id, actor_id, event_id) where live;
comment on index notify.sources_live is 'Finds the live sources of a notification.';

create index sources_of_broadcasts on notify.sources (source_id, user_id) where source_id like 'broadcast:%';
comment on index notify.sources_of_broadcasts is 'Finds the recipients of a broadcast, by user.';

create index sources_waiting on notify.sources (user_id, waits_for, actor_id, event_id) where waits_for is not null;
comment on index notify.sources_waiting is 'Finds the sources that wait for a window.';

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
comment on table notify.windows is 'Open windows of groups: later sources wait in notify.sources (waits_for) until the window is due; then one update shows all of them.';
comment on column notify.windows.user_id is 'Owner of the inbox.';
comment on column notify.windows.group_key is 'Key of the group.';
comment on column notify.windows.filter is 'Reason why the sources of the group are filtered: strangers or otherChannels, as in notify.notifications.filter_reason; none: not filtered.';
comment on column notify.windows.type is 'Type of the notifications of the group.';
comment on column notify.windows.object_type is 'Kind of the object that the group is about.';
comment on column notify.windows.object_id is 'Id of the object that the group is about.';
comment on column notify.windows.thread_key is 'Key of the thread, post:<id>; null: none.';
comment on column notify.windows.data is 'Data of the latest event.';
comment on column notify.windows.opened_at is 'Time at which the first source began to wait.';
comment on column notify.windows.due_at is 'Time at which the window ends; after a failure, time of the next attempt.';
comment on column notify.windows.attempts is 'Number of failed attempts to end the window. The delay between attempts grows to an hour.';
comment on column notify.windows.last_error is 'Error of the last failed attempt; null: none.';

create index windows_due on notify.windows (due_at, user_id);
comment on index notify.windows_due is 'Finds the windows that are due.';

create index windows_failing on notify.windows (user_id) where attempts > 0;
comment on index notify.windows_failing is 'Serves ops.failing_windows.';

create table notify.tombstones (
  user_id bigint not null,
  modseq bigint not null,
  id bigint not null,
  removed_at timestamptz not null default now(),
  primary key (user_id, modseq)
);
comment on table notify.tombstones is 'Removed notifications with the modseq of their removal, so that clients can be informed. Removed after 30 days; floor_modseq of the inbox is then set.';
comment on column notify.tombstones.user_id is 'Owner of the inbox.';
comment on column notify.tombstones.modseq is 'Modseq of the removal.';
comment on column notify.tombstones.id is 'Id of the removed notification.';
comment on column notify.tombstones.removed_at is 'Time of the removal.';

create index tombstones_by_age on notify.tombstones (removed_at, user_id);
comment on index notify.tombstones_by_age is 'Finds expired rows for retention.';

create table notify.retention_cursors (
  name text collate "C" primary key,
  after_user bigint not null default 0,
  after_source text collate "C" not null default '',
  rounds bigint not null default 0,
  moved_at timestamptz not null default now()
);
comment on table notify.retention_cursors is 'Progress of retention in tables that it reads in parts. A row may be deleted; reading then starts at the beginning.';
comment on column notify.retention_cursors.name is 'Name of the cursor. sources: for notify.sources, which is read through once a day.';
comment on column notify.retention_cursors.after_user is 'User of the last row read.';
comment on column notify.retention_cursors.after_source is 'Source id of the last row read.';
comment on column notify.retention_cursors.rounds is 'How many times the end of the table was reached.';
comment on column notify.retention_cursors.moved_at is 'Time at which the cursor last moved.';

create table notify.journal (
  user_id bigint not null,
  until bigint not null,
  id bigint not null,
  former jsonb,
  at timestamptz not null default now(),
  primary key (user_id, until, id)
);
comment on table notify.journal is 'Former versions of notifications, for notify.inbox_as_of. Written by triggers that exist only while the journal is on (notify.set_journal); kept for JOURNAL_RETENTION_DAYS.';
comment on column notify.journal.user_id is 'Owner of the inbox.';
comment on column notify.journal.until is 'Modseq of the change that ended the version. 0: the notification was removed; the row without former has the modseq of that.';
comment on column notify.journal.id is 'Id of the notification; 0: the watermark of the inbox, seenModseq.';
comment on column notify.journal.former is 'The row of notify.notifications before the change. Null: the removal of the notification.';
comment on column notify.journal.at is 'Time of the change.';

create index journal_by_age on notify.journal (at, user_id);
comment on index notify.journal_by_age is 'Retention.';

create function notify.keep_former() returns trigger
  language plpgsql
as $$
begin
  if tg_table_name = 'tombstones' then
    insert into notify.journal (user_id, until, id) values (new.user_id, new.modseq, new.id);
  elsif tg_table_name = 'inbox' then
    -- A watermark that moved over nothing did not change the state: the first one is that of the state before.
    insert into notify.journal (user_id, until, id, former)
    values (new.user_id, new.modseq, 0, jsonb_build_object('seenModseq', old.seen_modseq))
    on conflict do nothing;
  elsif tg_op = 'DELETE' then
    insert into notify.journal (user_id, until, id, former) values (old.user_id, 0, old.id, to_jsonb(old));
  else
    insert into notify.journal (user_id, until, id, former) values (old.user_id, new.modseq, old.id, to_jsonb(old));
  end if;
  return null;
end $$;
comment on function notify.keep_former is 'Writes the former version of what a statement has changed to notify.journal.';
