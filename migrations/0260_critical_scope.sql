-- Sending what passes every preference is a right of its own, as ravenpost_critical is in SQL.

alter table social.service_tokens drop constraint scopes_known;
alter table social.service_tokens add constraint scopes_known
  check (scopes <@ '{notifications:send,notifications:critical}' and cardinality(scopes) > 0);
comment on column social.service_tokens.scopes is 'What it may do: notifications:send; with notifications:critical besides, send critical ones.';
