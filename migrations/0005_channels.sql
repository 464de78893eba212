-- Email, Web Push and webhooks: who can be reached, what is to be sent, and what happened to it.

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
comment on table notify.push_subscriptions is 'Browsers that take Web Push. Written while the inbox row is locked, which carries webPush in reachable_by.';
comment on column notify.push_subscriptions.user_id is 'User who is signed in at the browser.';
comment on column notify.push_subscriptions.id is 'Hash of the endpoint: the same browser is the same subscription.';
comment on column notify.push_subscriptions.session_id is 'Session that the browser subscribed in; nothing is sent after its end.';
comment on column notify.push_subscriptions.endpoint is 'URL at the push service of the browser''s maker; anyone who knows it can send, so it is shown to nobody.';
comment on column notify.push_subscriptions.p256dh is 'Public key of the browser, for encryption (RFC 8291).';
comment on column notify.push_subscriptions.auth is 'Secret shared with the browser (RFC 8291).';
comment on column notify.push_subscriptions.created_at is 'Time of the subscription.';

create index push_subscriptions_of_endpoint on notify.push_subscriptions (id, user_id);
comment on index notify.push_subscriptions_of_endpoint is 'A browser belongs to the user who signed in there last.';

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
comment on table notify.deliveries is 'Messages by email and Web Push: a row per notification, channel and target, queued in the transaction that made the notification grow.';
comment on column notify.deliveries.user_id is 'Recipient.';
comment on column notify.deliveries.notification_id is 'The notification; 0: a mail about the account, named in target.';
comment on column notify.deliveries.channel is 'email or webPush.';
comment on column notify.deliveries.target is 'primary: the verified address of the account. Otherwise the id of a push subscription. Of mails about the account: primary asks to verify the address, newAddress the one that is to replace it; resetPassword has a link for a new password; passwordChanged reports one to a verified address; emailChanging <address> reports a new address to the former one.';
comment on column notify.deliveries.critical is 'Sent without regard to the limit of messages per user and minute.';
comment on column notify.deliveries.state is 'queued, deferred (until due_at), sent (the mail server or push service took it), failed, bounced (the address was refused), skipped or cancelled (see reason). While a worker sends, the row stays queued and due_at is the end of its lease. delivered is for channels whose provider reports arrival; mail servers and push services do not.';
comment on column notify.deliveries.reason is 'Why it was skipped, deferred or cancelled: the rule that decided, or read, archived, removed, unreachable, notConfigured, unverified (none of the people behind it has a verified address).';
comment on column notify.deliveries.grown_modseq is 'Growth of the notification that this is about; growing again queues it again.';
comment on column notify.deliveries.send_id is 'Id of the message at the provider, the same in every attempt; rows of one mail share it. Null: not tried yet.';
comment on column notify.deliveries.attempts is 'Attempts at this send so far.';
comment on column notify.deliveries.due_at is 'Time of the next attempt; null: finished.';
comment on column notify.deliveries.last_error is 'Error of the last attempt.';
comment on column notify.deliveries.queued_at is 'Time at which it was queued.';
comment on column notify.deliveries.updated_at is 'Time of the last change of state.';

create index deliveries_due on notify.deliveries (channel, due_at, user_id) where due_at is not null;
comment on index notify.deliveries_due is 'Messages to send.';

create index mails_waiting on notify.deliveries (user_id) where channel = 'email' and state in ('queued', 'deferred');
comment on index notify.mails_waiting is 'Taking mails: the others that wait for the same user. By state, so that the search for due rows, by due_at, never prefers it.';

create index pushes_deferred on notify.deliveries (user_id, target, grown_modseq) where channel = 'webPush' and reason is not null and due_at is not null;
comment on index notify.pushes_deferred is 'Sending pushes of users with a cap: whether a later one goes out in its place.';

create index deliveries_done on notify.deliveries (updated_at, user_id) where due_at is null;
comment on index notify.deliveries_done is 'Retention.';

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
comment on table notify.delivery_log is 'Append-only log of what happened to notifications, a partition per day (UTC); retention drops partitions. Ravenpost decides nothing by it. A row may be missing after a crash of a push node.';
comment on column notify.delivery_log.at is 'Time of the event.';
comment on column notify.delivery_log.recipient_id is 'Owner of the inbox.';
comment on column notify.delivery_log.notification_id is 'The notification; null: none was made.';
comment on column notify.delivery_log.event is 'stored: in the inbox, new or grown. pushed: sent to a socket. acknowledged: received by a device. sent, failed: by email or Web Push. filtered: kept from a channel, see reason.';
comment on column notify.delivery_log.channel is 'inApp, email or webPush.';
comment on column notify.delivery_log.reason is 'The rule that filtered, or the error.';
comment on column notify.delivery_log.modseq is 'State of the inbox: of the change that was stored, at the end of the frame, of the acknowledgement.';
comment on column notify.delivery_log.sessions is 'Of pushed: the sign-in sessions whose sockets were sent the frame.';

create index delivery_log_of_recipient on notify.delivery_log (recipient_id, notification_id);
comment on index notify.delivery_log_of_recipient is 'The history of a notification.';

create table notify.delivery_log_days (
  name text collate "C" primary key,
  from_at timestamptz not null,
  to_at timestamptz not null
);
comment on table notify.delivery_log_days is 'The partitions of notify.delivery_log. While none covers the present, nothing is logged and nothing else is affected.';
comment on column notify.delivery_log_days.name is 'Table name in schema notify.';
comment on column notify.delivery_log_days.from_at is 'First moment, inclusive.';
comment on column notify.delivery_log_days.to_at is 'Last moment, exclusive.';

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
comment on table notify.webhooks is 'Endpoints of applications that take events over HTTP, a hundred at most. Statements that queue events read it, so that nothing is written while no enabled endpoint takes them.';
comment on column notify.webhooks.id is 'Id in the API.';
comment on column notify.webhooks.endpoint is 'URL. It may hold a secret of the receiver.';
comment on column notify.webhooks.events is 'Events that it takes.';
comment on column notify.webhooks.description is 'For people.';
comment on column notify.webhooks.enabled_at is 'Time it was made or last enabled. The three days of retries of a message begin here at the earliest.';
comment on column notify.webhooks.disabled_at is 'Null: enabled. While it is disabled nothing is queued for it, and nothing that was queued is sent.';
comment on column notify.webhooks.disabled_because is 'byHand; gone: it answered 410; failing: it accepted nothing for three days.';
comment on column notify.webhooks.failures is 'Attempts that failed since the last one that succeeded.';
comment on column notify.webhooks.failing_since is 'Time of the first of these failures; null: the last attempt succeeded.';
comment on column notify.webhooks.paused_until is 'Nothing is sent before this time: it asked for that by Retry-After, or several attempts in a row failed.';
comment on column notify.webhooks.last_error is 'Error of the last attempt that failed.';
comment on column notify.webhooks.created_at is 'Time of its creation.';
comment on column notify.webhooks.updated_at is 'Time of the last change by the API.';

create table notify.webhook_secrets (
  webhook_id bigint not null references notify.webhooks on delete cascade,
  secret text collate "C" not null,
  created_at timestamptz not null default clock_timestamp(),
  expires_at timestamptz,
  primary key (webhook_id, secret)
);
comment on table notify.webhook_secrets is 'Keys that sign the messages to an endpoint. HMAC needs them as they are; the API shows each once.';
comment on column notify.webhook_secrets.webhook_id is 'The endpoint.';
comment on column notify.webhook_secrets.secret is 'whsec_ and 32 random bytes in base64.';
comment on column notify.webhook_secrets.created_at is 'Time of the creation of the endpoint or of a rotation; the latest signs first.';
comment on column notify.webhook_secrets.expires_at is 'Null: the current one. Until then a former one signs too.';

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
comment on table notify.webhook_deliveries is 'Messages to endpoints, a row per event and endpoint, written in the transaction of the event. They name what it is about; the content is read when a message is sent. Without a foreign key: an endpoint with a million messages is deleted at once, and retention removes them.';
comment on column notify.webhook_deliveries.id is 'Number of the message; webhook-id is made from it and created_at.';
comment on column notify.webhook_deliveries.webhook_id is 'The endpoint.';
comment on column notify.webhook_deliveries.event is 'Type of the event, or webhook.test.';
comment on column notify.webhook_deliveries.recipient_id is 'Owner of the notification; recipient of what failed.';
comment on column notify.webhook_deliveries.notification_id is 'The notification.';
comment on column notify.webhook_deliveries.data is 'Of other events what names them: channel and state of a delivery, id of a dead letter.';
comment on column notify.webhook_deliveries.state is 'queued; sending: a worker sends it, due_at is the end of its lease; sent: answered with 2xx; failed: given up.';
comment on column notify.webhook_deliveries.attempts is 'Attempts so far; from zero again after a retry by hand.';
comment on column notify.webhook_deliveries.tried_at is 'Time of the first of them.';
comment on column notify.webhook_deliveries.due_at is 'Time of the next attempt; null: finished.';
comment on column notify.webhook_deliveries.status is 'HTTP status of the last answer; null: there was none.';
comment on column notify.webhook_deliveries.last_error is 'Error of the last attempt.';
comment on column notify.webhook_deliveries.created_at is 'Time of the event.';
comment on column notify.webhook_deliveries.updated_at is 'Time of the last change of state.';

create index webhook_deliveries_due on notify.webhook_deliveries (webhook_id, due_at, id) where due_at is not null;
comment on index notify.webhook_deliveries_due is 'Messages to send, per endpoint.';

create index webhook_deliveries_sending on notify.webhook_deliveries (webhook_id, due_at) where state = 'sending';
comment on index notify.webhook_deliveries_sending is 'How many are under way to an endpoint.';

create index webhook_deliveries_listed on notify.webhook_deliveries (webhook_id, id);
comment on index notify.webhook_deliveries_listed is 'The list of an endpoint.';

create index webhook_deliveries_recoverable on notify.webhook_deliveries (webhook_id, created_at) where state in ('queued', 'failed') and attempts > 0;
comment on index notify.webhook_deliveries_recoverable is 'Recovery: what failed or waits for another attempt.';
