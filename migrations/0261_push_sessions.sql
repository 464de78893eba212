-- A browser's subscription belongs to a session and ends with it.

alter table notify.push_subscriptions add session_id bigint;

-- That of the sign-in before, as far as can be known; a browser that is signed in elsewhere subscribes again when it is opened.
update notify.push_subscriptions p
set session_id = (
  select s.id from social.sessions s where s.user_id = p.user_id and s.revoked_at is null and s.expires_at > now()
  order by s.created_at <= p.created_at desc, s.id desc limit 1);
delete from notify.push_subscriptions where session_id is null;
update notify.inbox i set reachable_by = array_remove(reachable_by, 'webPush')
where 'webPush' = any(reachable_by) and not exists (select from notify.push_subscriptions p where p.user_id = i.user_id);

alter table notify.push_subscriptions alter column session_id set not null;
comment on column notify.push_subscriptions.session_id is 'Session that the browser subscribed in; nothing is sent after its end.';
