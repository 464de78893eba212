-- A mail that tells an owner of a changed password goes the way of the one that asks about the address.

comment on column notify.deliveries.notification_id is 'The notification; 0: a mail about the account, which target names.';
comment on column notify.deliveries.target is 'Where to: primary, the address of the account; or the id of a push subscription. Of mails about the account: primary asks whether the address is the user''s, passwordChanged says so to a verified one.';
