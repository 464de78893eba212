-- A refresh token may be exchanged again for ten seconds: the first answer may have been lost, or two tabs asked at once.

alter table social.refresh_tokens add predecessor bytea;
comment on column social.refresh_tokens.predecessor is 'Hash of the token it was exchanged for; null: of a sign-up or sign-in, or older than this column. Without a foreign key: the predecessor may be forgotten first.';
comment on table social.refresh_tokens is 'Every refresh token ever given to a living session, hashed. Presenting one that was used already revokes its session (RFC 9700, section 4.14.2), unless it was used in the last 10 s and none of its successors was.';
comment on column social.refresh_tokens.used_at is 'When it was first exchanged for a successor.';
