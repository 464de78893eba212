-- The first password of the admin is changed before anything is done with it.

alter table social.users add password_change_required boolean not null default false;
comment on column social.users.password_change_required is 'The password is the one that the first start made: calls for admins are refused until it is changed.';
