-- A window that cannot be flushed is put off and holds up no other one; people can see it, and why.

alter table notify.windows add attempts int not null default 0, add last_error text;
create index windows_failing on notify.windows (user_id) where attempts > 0;
comment on table notify.windows is 'Groups that gather: who came after the instant ones waits in notify.sources (waits_for) until the window is due, then one update shows all of them. Indexes: windows_due, what to flush; windows_failing, those of ops.failing_windows and their number.';
comment on column notify.windows.attempts is 'Failed attempts to flush it; due_at is then when the next is due, an hour apart in the end.';
comment on column notify.windows.last_error is 'Why the last one failed.';

create view ops.failing_windows as
select w.user_id, w.group_key, w.filter, w.type, w.attempts, w.last_error, w.opened_at, w.due_at,
       (select count(*) from notify.sources s where s.user_id = w.user_id and s.waits_for = w.group_key and s.waits_filter = w.filter) as waiting
from notify.windows w where w.attempts > 0;
comment on view ops.failing_windows is 'Windows that could not be flushed: who came to the group waits until one attempt succeeds. They are tried for ever, in the end once an hour; update notify.windows set due_at = now() tries one at once.';
comment on column ops.failing_windows.user_id is 'Whose inbox.';
comment on column ops.failing_windows.group_key is 'Key of the group.';
comment on column ops.failing_windows.filter is 'Why what it gathers is filtered; none: it is not.';
comment on column ops.failing_windows.type is 'Type of the group''s notifications.';
comment on column ops.failing_windows.attempts is 'Failed attempts so far; 12 take some three hours.';
comment on column ops.failing_windows.last_error is 'Why the last one failed.';
comment on column ops.failing_windows.opened_at is 'When the first one began to wait.';
comment on column ops.failing_windows.due_at is 'When the next attempt is due.';
comment on column ops.failing_windows.waiting is 'Events that wait in it.';
