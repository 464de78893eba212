-- What is filtered for one reason and what is filtered for another never share a group: each is shown elsewhere.

drop function notify.why(bigint, bigint);

alter table notify.windows add filter text not null default 'none'
  constraint window_filter_known check (filter in ('none', 'strangers', 'otherChannels'));
update notify.windows set filter = 'strangers' where filtered;
alter table notify.windows drop constraint windows_pkey, drop column filtered, add primary key (user_id, group_key, filter);
comment on column notify.windows.filter is 'Why what it gathers is filtered: strangers or otherChannels, as in notify.notifications.filter_reason; none: it is not.';

alter table notify.sources add waits_filter text not null default 'none';
update notify.sources set waits_filter = 'strangers' where waits_filtered;
alter table notify.sources drop column waits_filtered;
comment on column notify.sources.waits_filter is 'The filter of the window it waits for.';

drop index notify.notifications_open_group;
create unique index notifications_open_group on notify.notifications (user_id, group_key, coalesce(filter_reason, 'none'))
  where closed_at is null and group_key is not null;
