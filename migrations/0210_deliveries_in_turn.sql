-- Deliveries are sent in turn, and mails are taken under the lock of a row; an advisory lock can be held by anybody.

alter table notify.deliveries add column critical boolean not null default false;
comment on column notify.deliveries.critical is 'Waits for no turn of its user, who is sent so many messages a minute.';

create index mails_waiting on notify.deliveries (user_id) where channel = 'email' and due_at is not null;
comment on index notify.mails_waiting is 'Serves taking mails: what else waits for the same user.';

insert into notify.maintenance (what) values ('mails');
comment on table notify.maintenance is 'Work that one process at a time does: making partitions ahead and dropping old ones, under a lease; taking mails, under the lock of the row.';
