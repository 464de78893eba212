-- Channels besides the app: who can be reached by them, and what is to be sent.

alter table social.users add email_verified_at timestamptz;
comment on column social.users.email_verified_at is 'When the user showed that the address is theirs; null: no mail but the one that asks for it.';

create table notify.push_subscriptions (
  user_id bigint not null,
  id text not null,
  endpoint text not null constraint endpoint_is_https check (endpoint like 'https://%'),
  p256dh text not null,
  auth text not null,
  created_at timestamptz not null default now(),
  primary key (user_id, id)
);
create index push_subscriptions_of_endpoint on notify.push_subscriptions (id, user_id);
comment on table notify.push_subscriptions is 'Browsers that take Web Push. Written while the inbox row is locked, which carries webPush in reachable_by. Index push_subscriptions_of_endpoint: a browser belongs to who signed in there last.';
comment on column notify.push_subscriptions.user_id is 'Whose browser.';
comment on column notify.push_subscriptions.id is 'Hash of the endpoint: the same browser is the same subscription.';
comment on column notify.push_subscriptions.endpoint is 'Address at the push service of the browser''s maker; whoever knows it can send, so it is shown to nobody.';
comment on column notify.push_subscriptions.p256dh is 'Public key of the browser, to encrypt for (RFC 8291).';
comment on column notify.push_subscriptions.auth is 'Secret shared with the browser (RFC 8291).';
comment on column notify.push_subscriptions.created_at is 'When the browser subscribed.';

create table notify.deliveries (
  user_id bigint not null,
  notification_id bigint not null,
  channel text not null constraint delivery_channel_known check (channel in ('email', 'webPush')),
  target text not null,
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
create index deliveries_due on notify.deliveries (channel, due_at, user_id) where due_at is not null;
create index deliveries_done on notify.deliveries (updated_at, user_id) where due_at is null;
comment on table notify.deliveries is 'What goes out by email and Web Push: a row per notification, channel and target, queued in the transaction that made the notification grow. Index deliveries_due: what to send; deliveries_done: retention.';
comment on column notify.deliveries.user_id is 'Whose notification.';
comment on column notify.deliveries.notification_id is 'The notification; 0: the mail that asks whether the address is the user''s.';
comment on column notify.deliveries.channel is 'email or webPush.';
comment on column notify.deliveries.target is 'Where to: primary, the address of the account; or the id of a push subscription.';
comment on column notify.deliveries.state is 'queued, deferred (until due_at), sent, delivered, failed, bounced, skipped or cancelled (with reason). While a worker sends, the row stays queued and due_at is the end of its lease.';
comment on column notify.deliveries.reason is 'Why it was skipped, deferred or cancelled: the rule that decided, or read, archived, removed, unreachable, notConfigured.';
comment on column notify.deliveries.grown_modseq is 'Growth of the notification that this is about; growing again queues it again.';
comment on column notify.deliveries.send_id is 'Id under which the provider knows the message, the same in every attempt; rows of one mail share it. Null: not tried yet.';
comment on column notify.deliveries.attempts is 'Attempts at this send so far.';
comment on column notify.deliveries.due_at is 'When it is to be tried next; null: finished.';
comment on column notify.deliveries.last_error is 'What the last attempt failed with.';
comment on column notify.deliveries.queued_at is 'When it was queued.';
comment on column notify.deliveries.updated_at is 'When its state last changed.';
