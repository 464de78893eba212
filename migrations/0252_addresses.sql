-- An address is taken once somebody showed that it is theirs, and the network of a sign-in is remembered.

drop index social.email_taken;
create unique index email_taken on social.users (lower(email)) where email_verified_at is not null;
create index users_by_email on social.users (lower(email));
comment on column social.users.email is 'Address; only its owner sees it. Of those who showed that it is theirs there is one, without regard to case (index email_taken); others may have claimed it. Index users_by_email: sign-in by address.';

alter table social.sessions add network bytea;
comment on column social.sessions.network is 'Hash, keyed by a secret, of the network of the sign-in: from there an account can be signed in to while others guess its password. Null: not known.';

comment on column notify.deliveries.reason is 'Why it was skipped, deferred or cancelled: the rule that decided, or read, archived, removed, unreachable, notConfigured, unverified (none of the people behind it showed that their address is theirs).';
