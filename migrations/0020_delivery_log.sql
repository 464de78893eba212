-- What became of notifications, for people who ask. Nothing in Ravenpost reads it to decide.

create table notify.delivery_log (
  at timestamptz not null default now(),
  recipient_id bigint not null,
  notification_id bigint,
  event text not null constraint delivery_event_known check (event in ('stored', 'pushed', 'acknowledged', 'sent', 'failed', 'filtered')),
  channel text not null,
  reason text
) partition by range (at);
create index delivery_log_of_recipient on notify.delivery_log (recipient_id, notification_id);
comment on table notify.delivery_log is 'Append-only log of what became of notifications, a partition per day (UTC); partitions go after retention. Index delivery_log_of_recipient: the history of a notification. A row may be missing after a crash of a push node.';
comment on column notify.delivery_log.at is 'When.';
comment on column notify.delivery_log.recipient_id is 'Whose notification.';
comment on column notify.delivery_log.notification_id is 'The notification; null: none was made.';
comment on column notify.delivery_log.event is 'stored: in the inbox, new or grown. pushed: sent to a socket. acknowledged: a device has it. sent, failed: by email or Web Push. filtered: kept from a channel, see reason.';
comment on column notify.delivery_log.channel is 'inApp, email or webPush.';
comment on column notify.delivery_log.reason is 'The rule that filtered, or the error it failed with.';

create table notify.delivery_log_days (
  name text primary key,
  from_at timestamptz not null,
  to_at timestamptz not null
);
comment on table notify.delivery_log_days is 'The partitions of notify.delivery_log. While there is none for now, nothing is logged, and nothing else is disturbed.';
comment on column notify.delivery_log_days.name is 'Table name in schema notify.';
comment on column notify.delivery_log_days.from_at is 'First moment it holds.';
comment on column notify.delivery_log_days.to_at is 'First moment it does not hold any more.';
