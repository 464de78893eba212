-- Its old condition was implied by looking for what is due, which was then sorted instead of read in order.

drop index notify.mails_waiting;
create index mails_waiting on notify.deliveries (user_id) where channel = 'email' and state in ('queued', 'deferred');
comment on index notify.mails_waiting is 'Serves taking mails: what else waits for the same user. By state, so that looking for what is due, by due_at, never prefers it.';
