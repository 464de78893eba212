-- The counts of the rate limits that all processes share.

create unlogged table social.rate_limits (
  key text primary key,
  points integer not null default 0,
  expire bigint
);
create index rate_limits_by_expiry on social.rate_limits (expire);
comment on table social.rate_limits is 'Requests counted for all processes together: sign-ins, sign-ups, calls of admins. Not logged: after a crash counting starts anew. Index rate_limits_by_expiry: retention.';
comment on column social.rate_limits.key is 'Policy and whom it counts: sign-in:192.0.2.1, admin:17.';
comment on column social.rate_limits.points is 'Requests in this window.';
comment on column social.rate_limits.expire is 'When the window ends, in milliseconds since 1970.';
