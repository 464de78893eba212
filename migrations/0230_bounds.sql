-- No time comes in that cannot be shown, and a notification that cannot be shown can be found.

update notify.types set retention = '3650 days' where retention > '3650 days';
alter table notify.types add constraint retention_at_most_ten_years check (retention <= '3650 days');
comment on column notify.types.retention is 'Notifications expire after this unless sent otherwise; ten years at most.';

create or replace function notify.append_send(
  source_id text, recipients bigint[], type text, title text, body text, url text, actor_id bigint, object_type text,
  object_id text, group_key text, data jsonb, priority text, severity text, expires_at timestamptz, request_id text
) returns bigint
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
  written bigint;
begin
  if type is null or length(type) > 100 or not (type = 'system' or type ~ '^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+$') then
    perform notify.refuse('type must be system or a name with a dot, of letters, digits, _ and -, at most 100 characters');
  elsif type in ('post.liked', 'comment.created', 'comment.replied', 'user.mentioned', 'user.followed', 'post.published') then
    perform notify.refuse(format('%s belongs to social actions', type));
  elsif recipients is null or array_position(recipients, null) is not null then
    perform notify.refuse('recipients must be ids of users, none of them null');
  elsif cardinality(recipients) > 10000 then
    perform notify.refuse('at most 10000 recipients in one call');
  elsif length(title) > 200 or title = '' then
    perform notify.refuse('title must have 1 to 200 characters');
  elsif title is null and not exists (select from notify.types t where t.type = append_send.type and t.title is not null) then
    perform notify.refuse(format('title is missing, and the type %s has no template for one', type));
  elsif length(body) > 2000 then
    perform notify.refuse('body must have at most 2000 characters');
  elsif length(url) > 2000 or url !~ '^(https?://[^\s\\]+|(?!//)(?![A-Za-z][A-Za-z0-9+.-]*:)[^\s\\[:cntrl:]]+)$' then
    perform notify.refuse('url must be http(s) or relative, at most 2000 characters');
  elsif jsonb_typeof(data) is distinct from 'object' or octet_length(data::text) > 8192 then
    perform notify.refuse('data must be an object of at most 8 KiB');
  elsif priority not in ('critical', 'high', 'normal', 'low') then
    perform notify.refuse('priority must be critical, high, normal or low');
  elsif severity not in ('info', 'success', 'warning', 'error') then
    perform notify.refuse('severity must be info, success, warning or error');
  elsif length(object_type) > 100 or length(object_id) > 200 or length(group_key) not between 1 and 150 then
    perform notify.refuse('object_type is at most 100, object_id 200, group_key 1 to 150 characters long');
  elsif not isfinite(expires_at) or expires_at <= now() or expires_at > now() + interval '3650 days' then
    perform notify.refuse('expires_at must be in the future, and at most ten years (3650 days) away');
  end if;
  insert into notify.outbox (critical, counted, action, source_id, type, recipient_id, actor_id, object_type, object_id, group_key, data, request_id)
  select coalesce(priority, (select t.priority from notify.types t where t.type = append_send.type)) is not distinct from 'critical',
    false, 'send', source_id, type, r.id, actor_id, object_type, object_id, type || ':' || group_key,
    jsonb_strip_nulls(jsonb_build_object('title', title, 'body', body, 'url', url, 'severity', severity, 'priority', priority,
      'expiresAt', to_char(expires_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))) || jsonb_build_object('data', data),
    request_id
  from (select distinct r.id from unnest(recipients) r (id)) r;
  get diagnostics written = row_count;
  return written;
end $$;
create view ops.unreadable_notifications as
select n.user_id, n.id, n.type, n.created_at, n.expires_at,
       case when jsonb_typeof(n.data) <> 'object' then 'data are no object' else 'a time that RFC 3339 cannot express' end as reason
from notify.notifications n
where jsonb_typeof(n.data) <> 'object'
   or least(n.created_at, n.updated_at, n.expires_at, n.delivered_at, n.read_at, n.archived_at) < '0001-01-01 00:00+00'
   or greatest(n.created_at, n.updated_at, n.expires_at, n.delivered_at, n.read_at, n.archived_at) >= '10000-01-01 00:00+00';
comment on view ops.unreadable_notifications is 'Notifications that cannot be shown as they are: their users see the nearest time there is, and no data. No door lets such a row in; it came by hand, by a restored dump or by an older version. Mend it with an update, or delete it with notify.retract. Reads all of notify.notifications.';
comment on column ops.unreadable_notifications.user_id is 'Whose inbox.';
comment on column ops.unreadable_notifications.id is 'Id of the notification, unique within its user.';
comment on column ops.unreadable_notifications.type is 'Its type.';
comment on column ops.unreadable_notifications.created_at is 'When it was made.';
comment on column ops.unreadable_notifications.expires_at is 'When retention removes it.';
comment on column ops.unreadable_notifications.reason is 'What cannot be shown.';
