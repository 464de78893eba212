-- Everybody's inbox. Each table here is keyed by user first and points at no other user's rows, so that it can be distributed.

create table notify.inbox (
  user_id bigint primary key,
  modseq bigint not null default 0,
  unread_count integer not null default 0 constraint unread_count_not_negative check (unread_count >= 0),
  unseen_count integer not null default 0 constraint unseen_count_not_negative check (unseen_count >= 0),
  acked_modseq bigint not null default 0,
  seen_modseq bigint not null default 0,
  floor_modseq bigint not null default 0
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
comment on table notify.inbox is 'One row per user, born at sign-up. Whoever changes a user''s notifications locks it first, gives each changed row the next modseq, and sets the counts. fillfactor 50: updated by every batch that concerns the user, no index touched (HOT).';
comment on column notify.inbox.user_id is 'Whose inbox.';
comment on column notify.inbox.modseq is 'Number of changes so far; the n of the state <epoch>.<n>.';
comment on column notify.inbox.unread_count is 'Notifications neither read, archived nor filtered.';
comment on column notify.inbox.unseen_count is 'Notifications neither archived nor filtered whose content grew after seen_modseq.';
comment on column notify.inbox.acked_modseq is 'Some device has acknowledged everything up to here.';
comment on column notify.inbox.seen_modseq is 'Content that grew at or before this has been seen.';
comment on column notify.inbox.floor_modseq is 'Tombstones up to here are purged: a state below cannot be resumed.';

create table notify.notifications (
  user_id bigint not null,
  id bigint not null,
  modseq bigint not null,
  grown_modseq bigint not null,
  type text not null,
  priority text not null default 'normal' constraint priority_known check (priority in ('critical', 'high', 'normal', 'low')),
  severity text not null default 'info' constraint severity_known check (severity in ('info', 'success', 'warning', 'error')),
  title text,
  body text,
  url text,
  data jsonb not null default '{}',
  group_key text,
  thread_key text,
  object_type text,
  object_id text,
  actor_ids bigint[] not null default '{}',
  actor_count integer not null default 0 constraint actor_count_not_negative check (actor_count >= 0),
  silent boolean not null default false,
  filtered boolean not null default false,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  delivered_at timestamptz,
  read_at timestamptz,
  archived_at timestamptz,
  expires_at timestamptz not null,
  closed_at timestamptz,
  primary key (user_id, id)
) with (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.05);
create unique index notifications_open_group on notify.notifications (user_id, group_key) where closed_at is null and group_key is not null;
create unique index notifications_by_change on notify.notifications (user_id, modseq);
create unique index notifications_by_growth on notify.notifications (user_id, grown_modseq);
create index notifications_unread on notify.notifications (user_id, grown_modseq) where read_at is null and archived_at is null and not filtered;
create index notifications_of_thread on notify.notifications (thread_key, user_id) where thread_key is not null;
create index notifications_by_expiry on notify.notifications (expires_at, user_id);
comment on table notify.notifications is 'What the inboxes hold. Indexes: _by_change serves changes since a state, _by_growth the lists and acknowledgements, _unread the unread list and mark-all-read, _open_group the grouping, _of_thread the deletion of a post, _by_expiry retention. delivered_at is in no index, so that acknowledging is a HOT update (fillfactor 85).';
comment on column notify.notifications.user_id is 'Whose notification.';
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
comment on column notify.notifications.thread_key is 'The post it belongs to, post:<id>.';
comment on column notify.notifications.object_type is 'Kind of the object it is about.';
comment on column notify.notifications.object_id is 'Id of the object it is about.';
comment on column notify.notifications.actor_ids is 'The latest distinct actors, up to 8, latest first; 3 are shown, the others stand by for retractions.';
comment on column notify.notifications.actor_count is 'Distinct people behind it.';
comment on column notify.notifications.silent is 'Show it, but no toast and no sound.';
comment on column notify.notifications.filtered is 'Held back by the policy for strangers; not counted, not in changes.';
comment on column notify.notifications.created_at is 'When it was made.';
comment on column notify.notifications.updated_at is 'When its content last grew.';
comment on column notify.notifications.delivered_at is 'When a device acknowledged its latest content; outside the state.';
comment on column notify.notifications.read_at is 'When it was read.';
comment on column notify.notifications.archived_at is 'When it was archived.';
comment on column notify.notifications.expires_at is 'When retention removes it.';
comment on column notify.notifications.closed_at is 'When its group closed: first read, archived, or 24 hours old. Never unset; what comes later opens the next group.';

create table notify.sources (
  user_id bigint not null,
  source_id text not null,
  event_id bigint not null,
  notification_id bigint,
  actor_id bigint not null default 0,
  live boolean not null,
  notified boolean not null,
  decision text not null,
  decided_at timestamptz not null default now(),
  primary key (user_id, source_id)
) with (fillfactor = 90);
create index sources_live on notify.sources (user_id, notification_id, actor_id, event_id) where live;
comment on table notify.sources is 'One row per user and source id: the event that last spoke and what came of it. An event is applied only if its id is above event_id. Index sources_live: who is behind a notification. Rows live as long as their notification and at least 30 days.';
comment on column notify.sources.user_id is 'Whose inbox the source concerns.';
comment on column notify.sources.source_id is 'The source, for example like:9:4.';
comment on column notify.sources.event_id is 'Id of the event that last spoke.';
comment on column notify.sources.notification_id is 'The notification it had or has a part in, if any.';
comment on column notify.sources.actor_id is 'Who acted; 0: nobody, as for a send without actor.';
comment on column notify.sources.live is 'True while it counts among the actors of notification_id.';
comment on column notify.sources.notified is 'True once it has ever been shown: the same source never notifies twice.';
comment on column notify.sources.decision is 'What was decided: shown, rejoined, retracted, stale_group, blocked, object_gone, removed.';
comment on column notify.sources.decided_at is 'When.';

create table notify.tombstones (
  user_id bigint not null,
  modseq bigint not null,
  id bigint not null,
  removed_at timestamptz not null default now(),
  primary key (user_id, modseq)
);
create index tombstones_by_age on notify.tombstones (removed_at, user_id);
comment on table notify.tombstones is 'What was removed from an inbox and at which modseq, so that changes can say so; purged after 30 days together with floor_modseq. Index tombstones_by_age: the purge.';
comment on column notify.tombstones.user_id is 'Whose inbox.';
comment on column notify.tombstones.modseq is 'Modseq of the removal.';
comment on column notify.tombstones.id is 'Id of the notification that was removed.';
comment on column notify.tombstones.removed_at is 'When.';
