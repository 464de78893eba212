-- Email, Web Push and webhooks: subscriptions and endpoints, messages to send, and a log of what happened to notifications.

create table notify.push_subscriptions (
  user_id bigint not null,
  id text collate "C" not null,
  session_id bigint not null,
  endpoint text not null constraint endpoint_is_https check (endpoint like 'https://%'),
  p256dh text not null,
  auth text not null,
  created_at timestamptz not null default now(),
  primary key (user_id, id)
);
comment on table notify.push_subscriptions is 'Browsers that receive Web Push. Written while the inbox row is locked, whose reachable_by contains webPush.';
comment on column notify.push_subscriptions.user_id is 'User who is signed in on the browser.';
comment on column notify.push_subscriptions.id is 'Hash of the endpoint, so that one browser has one subscription.';
comment on column notify.push_subscriptions.session_id is 'Session in which the browser subscribed. After its end nothing is sent.';
comment on column notify.push_subscriptions.endpoint is 'URL at the push service of the browser''s vendor. It is secret, because anyone who knows it can send.';
comment on column notify.push_subscriptions.p256dh is 'Public key of the browser, used for encryption (RFC 8291).';
comment on column notify.push_subscriptions.auth is 'Secret shared with the browser (RFC 8291).';
comment on column notify.push_subscriptions.created_at is 'Time of the subscription.';

create index push_subscriptions_of_endpoint on notify.push_subscriptions (id, user_id);
comment on index notify.push_subscriptions_of_endpoint is 'One user per browser: the one who signed in there last.';

create table notify.deliveries (
  user_id bigint not null,
  notification_id bigint not null,
  channel text collate "C" not null constraint delivery_channel_known check (channel in ('email', 'webPush')),
  target text collate "C" not null,
  critical boolean not null default false,
  state text not null default 'queued' constraint delivery_state_known
    check (state in ('queued', 'sent', 'delivered', 'failed', 'bounced', 'skipped', 'deferred', 'cancelled')),
  reason text,
  grown_modseq bigint not null,
  send_id text,
  attempts integer not null default 0,
  due_at timestamptz,
  last_error text,
  queued_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (user_id, notification_id, channel, target),
  constraint due_while_unsent check ((due_at is not null) = (state in ('queued', 'deferred')))
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
comment on table notify.deliveries is 'Messages by email and Web Push: one row per notification, channel and target, queued in the transaction in which the notification grew.';
comment on column notify.deliveries.user_id is 'The recipient.';
comment on column notify.deliveries.notification_id is 'The notification. 0: a mail about the account, whose kind is in target.';
comment on column notify.deliveries.channel is 'Channel: email or webPush.';
comment on column notify.deliveries.target is 'primary: the verified address of the account. For webPush: the id of a push subscription. For mails about the account: primary asks to verify the address; newAddress asks to verify the address that replaces it; resetPassword contains a link to set a new password; passwordChanged reports one to a verified address; emailChanging <address> reports a new address to the former one.';
comment on column notify.deliveries.critical is 'True if it is sent regardless of the limit of messages per user and minute.';
comment on column notify.deliveries.state is 'queued, deferred (until due_at), sent (the mail server or push service accepted it), failed, bounced (the address was refused), skipped or cancelled (see reason). While a worker sends, the state remains queued and due_at is the end of the lease. delivered is for channels whose provider reports arrival; mail servers and push services do not.';
comment on column notify.deliveries.reason is 'Why the message was skipped, deferred or cancelled: a rule as in notify.sources.decided_by, or read, archived, removed, unreachable, notConfigured, or unverified (none of the actors has a verified address).';
comment on column notify.deliveries.grown_modseq is 'The grown_modseq of the notification that the message is about. When the notification grows again, the message is queued again.';
comment on column notify.deliveries.send_id is 'Id of the message at the provider, the same in all attempts; rows sent in the same mail share it. Null: not tried yet.';
comment on column notify.deliveries.attempts is 'Number of attempts to send this message.';
comment on column notify.deliveries.due_at is 'Time of the next attempt, or end of the lease while a worker sends. Null: finished.';
comment on column notify.deliveries.last_error is 'Error of the last failed attempt; null: none.';
comment on column notify.deliveries.queued_at is 'Time at which the message was queued.';
comment on column notify.deliveries.updated_at is 'Time of the last change of state.';

create index deliveries_due on notify.deliveries (channel, due_at, user_id) where due_at is not null;
comment on index notify.deliveries_due is 'Finds the messages that are due.';

create index mails_waiting on notify.deliveries (user_id) where channel = 'email' and state in ('queued', 'deferred');
comment on index notify.mails_waiting is 'Finds further waiting messages of a user for the same mail. It begins with the state, so that the planner never prefers it to the index by due_at.';

create index pushes_deferred on notify.deliveries (user_id, target, grown_modseq) where channel = 'webPush' and reason is not null and due_at is not null;
comment on index notify.pushes_deferred is 'Finds a later push that goes out instead of a deferred one, for users with a cap.';

create index deliveries_done on notify.deliveries (updated_at, user_id) where due_at is null;
comment on index notify.deliveries_done is 'Finds finished rows for retention.';

create table notify.delivery_log (
  at timestamptz not null default now(),
  recipient_id bigint not null,
  notification_id bigint,
  event text not null constraint delivery_event_known check (event in ('stored', 'pushed', 'acknowledged', 'sent', 'failed', 'filtered')),
  channel text not null,
  reason text,
  modseq bigint,
  sessions bigint[]
) partition by range (at);
-- It has no key: else a publication would refuse the erasure of an account.
alter table notify.delivery_log replica identity full;
comment on table notify.delivery_log is 'Append-only log of what happened to notifications, with a partition per day (UTC); retention drops partitions. Ravenpost makes no decision by it. A crash of a push node may lose rows. The view notify.delivery_history adds the rows that the notifications themselves imply.';
comment on column notify.delivery_log.at is 'Time at which it happened.';
comment on column notify.delivery_log.recipient_id is 'Owner of the inbox.';
comment on column notify.delivery_log.notification_id is 'The notification. Null: none was created.';
comment on column notify.delivery_log.event is 'stored: written to the inbox; for a new notification logged only when it is removed. pushed: sent to a socket. acknowledged: received by a device. sent, failed: by email or Web Push. filtered: not sent to a channel, for the reason in reason.';
comment on column notify.delivery_log.channel is 'inApp, email or webPush.';
comment on column notify.delivery_log.reason is 'The rule that filtered, or the error. Null: neither.';
comment on column notify.delivery_log.modseq is 'A modseq of the inbox: for stored, of the change; for pushed, at the end of the frame; for acknowledged, the acknowledged one. Null for other events.';
comment on column notify.delivery_log.sessions is 'For pushed: the sign-in sessions to whose sockets the frame was sent. Otherwise null.';

create index delivery_log_of_recipient on notify.delivery_log (recipient_id, notification_id);
comment on index notify.delivery_log_of_recipient is 'Reads the history of a notification.';

create view notify.delivery_history with (security_invoker = true) as
  select l.at, l.recipient_id, l.notification_id, l.event, l.channel, l.reason, l.modseq, l.sessions
  from notify.delivery_log l
  union all
  select n.created_at, n.user_id, n.id, 'stored', 'inApp', null, n.id, null
  from notify.notifications n
  where n.filter_reason is null;
comment on view notify.delivery_history is 'The complete history of notifications: the rows of notify.delivery_log, and for each existing notification a row for the time at which it was first stored. Dispatch does not log that time, because the notification has it.';
comment on column notify.delivery_history.at is 'Time at which it happened.';
comment on column notify.delivery_history.recipient_id is 'Owner of the inbox.';
comment on column notify.delivery_history.notification_id is 'The notification. Null: none was created.';
comment on column notify.delivery_history.event is 'stored: written to the inbox, new or grown. The others as in notify.delivery_log.';
comment on column notify.delivery_history.channel is 'inApp, email or webPush.';
comment on column notify.delivery_history.reason is 'The rule that filtered, or the error. Null: neither.';
comment on column notify.delivery_history.modseq is 'A modseq of the inbox, as in notify.delivery_log.';
comment on column notify.delivery_history.sessions is 'For pushed: the sign-in sessions to whose sockets the frame was sent. Otherwise null.';

create table notify.delivery_log_days (
  name text collate "C" primary key,
  from_at timestamptz not null,
  to_at timestamptz not null
);
comment on table notify.delivery_log_days is 'The partitions of notify.delivery_log. While no partition covers the present, nothing is logged; nothing else is affected.';
comment on column notify.delivery_log_days.name is 'Table name in schema notify.';
comment on column notify.delivery_log_days.from_at is 'Beginning of the day, inclusive.';
comment on column notify.delivery_log_days.to_at is 'End of the day, exclusive.';

create table notify.webhooks (
  id bigint generated always as identity primary key,
  endpoint text not null constraint webhook_endpoint_is_http check (endpoint ~ '^https?://' and length(endpoint) <= 2000),
  events text[] not null constraint webhook_events_known
    check (events <@ '{notification.created,notification.updated,notification.removed,notification.read,delivery.failed,broadcast.finished,dead_letter.created}' and cardinality(events) > 0),
  description text constraint webhook_description_length check (length(description) <= 200),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  enabled_at timestamptz not null default now(),
  disabled_at timestamptz,
  disabled_because text constraint disabled_for_a_reason check ((disabled_because is null) = (disabled_at is null) and disabled_because in ('byHand', 'gone', 'failing')),
  failures integer not null default 0,
  failing_since timestamptz,
  paused_until timestamptz,
  last_error text
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200);
comment on table notify.webhooks is 'Endpoints of applications that receive events over HTTP, at most a hundred. Statements that queue events read this table, so nothing is written while no enabled endpoint wants an event.';
comment on column notify.webhooks.id is 'Id of the endpoint, as in the API.';
comment on column notify.webhooks.endpoint is 'URL to which messages are sent. It may contain a secret of the receiver.';
comment on column notify.webhooks.events is 'Types of events that the endpoint receives.';
comment on column notify.webhooks.description is 'Description for people.';
comment on column notify.webhooks.enabled_at is 'Time at which the endpoint was created or last enabled. The three days in which a message is retried begin here at the earliest.';
comment on column notify.webhooks.disabled_at is 'Time at which it was disabled. Null: enabled. While an endpoint is disabled, nothing is queued for it and nothing is sent.';
comment on column notify.webhooks.disabled_because is 'Why it is disabled. byHand: by an administrator; gone: it answered 410; failing: it accepted nothing for three days. Null: enabled.';
comment on column notify.webhooks.failures is 'Number of failed attempts since the last successful one.';
comment on column notify.webhooks.failing_since is 'Time of the first failed attempt since the last successful one. Null: the last attempt succeeded.';
comment on column notify.webhooks.paused_until is 'Time before which nothing is sent, because the endpoint sent Retry-After or several attempts in a row failed. Null: no pause.';
comment on column notify.webhooks.last_error is 'Error of the last failed attempt; null: none.';
comment on column notify.webhooks.created_at is 'Time at which the endpoint was created.';
comment on column notify.webhooks.updated_at is 'Time of the last change by the API.';

create table notify.webhook_secrets (
  webhook_id bigint not null references notify.webhooks on delete cascade,
  secret text collate "C" not null,
  created_at timestamptz not null default clock_timestamp(),
  expires_at timestamptz,
  primary key (webhook_id, secret)
);
comment on table notify.webhook_secrets is 'Keys that sign the messages to an endpoint. They are stored as plain text, because HMAC needs them; the API shows each only once.';
comment on column notify.webhook_secrets.webhook_id is 'The endpoint.';
comment on column notify.webhook_secrets.secret is 'The key: whsec_ and 32 random bytes in base64.';
comment on column notify.webhook_secrets.created_at is 'Time at which the key was created. The signature header lists the signature of the newest key first.';
comment on column notify.webhook_secrets.expires_at is 'Time until which a replaced key also signs. Null: the current key.';

create table notify.webhook_deliveries (
  id bigint generated always as identity primary key,
  webhook_id bigint not null,
  event text not null,
  recipient_id bigint,
  notification_id bigint,
  data jsonb not null default '{}',
  state text not null default 'queued' constraint webhook_delivery_state_known check (state in ('queued', 'sending', 'sent', 'failed')),
  attempts integer not null default 0,
  tried_at timestamptz,
  due_at timestamptz default now(),
  status integer,
  last_error text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint webhook_due_while_unsent check ((due_at is not null) = (state in ('queued', 'sending')))
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.05);
comment on table notify.webhook_deliveries is 'Messages to endpoints: one row per event and endpoint, written in the transaction of the event. A row contains ids only; the content is read when the message is sent. No foreign key, so that an endpoint with a million messages is deleted at once; retention removes them.';
comment on column notify.webhook_deliveries.id is 'Number of the message. Its webhook-id is made from id and created_at.';
comment on column notify.webhook_deliveries.webhook_id is 'The endpoint.';
comment on column notify.webhook_deliveries.event is 'Type of the event, or webhook.test.';
comment on column notify.webhook_deliveries.recipient_id is 'Owner of the notification, or recipient of the failed delivery or dead letter; null for webhook.test.';
comment on column notify.webhook_deliveries.notification_id is 'The notification. Null: the event has none.';
comment on column notify.webhook_deliveries.data is 'For events about deliveries and dead letters, what identifies them: channel and state of a delivery, id of a dead letter.';
comment on column notify.webhook_deliveries.state is 'queued; sending: a worker sends it, and due_at is the end of its lease; sent: answered with 2xx; failed: not tried again.';
comment on column notify.webhook_deliveries.attempts is 'Number of attempts; a retry by hand sets it to zero.';
comment on column notify.webhook_deliveries.tried_at is 'Time of the first attempt; null: not tried yet.';
comment on column notify.webhook_deliveries.due_at is 'Time of the next attempt, or end of the lease while a worker sends. Null: finished.';
comment on column notify.webhook_deliveries.status is 'HTTP status of the last response. Null: there was no response.';
comment on column notify.webhook_deliveries.last_error is 'Error of the last failed attempt; null: none.';
comment on column notify.webhook_deliveries.created_at is 'Time of the event.';
comment on column notify.webhook_deliveries.updated_at is 'Time of the last change of state.';

create index webhook_deliveries_due on notify.webhook_deliveries (webhook_id, due_at, id) where due_at is not null;
comment on index notify.webhook_deliveries_due is 'Finds the due messages of an endpoint.';

create index webhook_deliveries_sending on notify.webhook_deliveries (webhook_id, due_at) where state = 'sending';
comment on index notify.webhook_deliveries_sending is 'Counts the messages that are being sent to an endpoint.';

create index webhook_deliveries_listed on notify.webhook_deliveries (webhook_id, id);
comment on index notify.webhook_deliveries_listed is 'Lists the messages of an endpoint.';

create index webhook_deliveries_recoverable on notify.webhook_deliveries (webhook_id, created_at) where state in ('queued', 'failed') and attempts > 0;
comment on index notify.webhook_deliveries_recoverable is 'Recovery: finds messages that failed or wait for another attempt.';
