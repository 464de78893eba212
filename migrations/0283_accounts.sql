-- Accounts that can be edited: another address, which counts once it is verified, a language and a time zone.

alter table social.users
  add new_email text,
  add locale text constraint locale_well_formed check (locale ~ '^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$' and length(locale) <= 35),
  add time_zone text constraint time_zone_length check (length(time_zone) between 1 and 100);
create index users_by_new_email on social.users (lower(new_email)) where new_email is not null;
comment on index social.users_by_new_email is 'The page that a mail links to: accounts that are to get this address.';
comment on column social.users.new_email is 'Address that replaces email once the user verifies it; null: no change is under way.';
comment on column social.users.locale is 'Language of the user as a BCP 47 tag, for example pt-BR; null: not chosen.';
comment on column social.users.time_zone is 'IANA time zone of the user, for example Europe/Berlin; null: not chosen.';
comment on column notify.deliveries.target is 'Destination: primary, the address of the account; or the id of a push subscription. Of mails about the account, which have notification 0, the kind: primary asks whether the address is the user''s, newAddress asks it of the new one; passwordChanged, resetPassword; emailChanging <address> notifies the former address.';
