-- The engine in depth: types as data, windows, ranking, preferences, mutes.

create table notify.types (
  type text primary key,
  priority text not null default 'normal' constraint type_priority_known check (priority in ('critical', 'high', 'normal', 'low')),
  followed_priority text constraint type_followed_priority_known check (followed_priority in ('critical', 'high', 'normal', 'low')),
  severity text not null default 'info' constraint type_severity_known check (severity in ('info', 'success', 'warning', 'error')),
  channels text[] not null default '{inApp}' constraint type_channels_known check (channels <@ '{inApp,email,webPush}'),
  instant_threshold integer not null default 0 constraint instant_threshold_not_negative check (instant_threshold >= 0),
  window_seconds integer not null default 0 constraint window_at_most_a_day check (window_seconds between 0 and 86400),
  jitter real not null default 0.25 constraint jitter_is_a_share check (jitter between 0 and 1),
  max_group_size integer not null default 100000 constraint group_holds_somebody check (max_group_size > 0),
  retention interval not null default '90 days' constraint retention_positive check (retention > '0'),
  dnd text not null default 'defer' constraint dnd_known check (dnd in ('defer', 'silent', 'ignore')),
  title text,
  body text,
  url text,
  fallback text,
  updated_at timestamptz not null default now()
);
comment on table notify.types is 'What is true of a type of notification; processes notice a change within two seconds. A type without a row is treated like system. Templates are ICU messages over count (distinct people), first and second (their names), object (post, comment, user), postId, anchor (#comment-<id> or empty), actorId and the texts and numbers of data.';
comment on column notify.types.type is 'Name of the type, for example post.liked.';
comment on column notify.types.priority is 'Priority unless the sender names one; critical ones are in time past every filter but blocks, mutes and the policy for strangers.';
comment on column notify.types.followed_priority is 'Priority of a notification behind which stands somebody whom the recipient follows; null: the same.';
comment on column notify.types.severity is 'Severity unless the sender names one.';
comment on column notify.types.channels is 'Channels that are on while a user has not said otherwise: inApp, email, webPush.';
comment on column notify.types.instant_threshold is 'How many people of a group are shown one by one, before a window opens.';
comment on column notify.types.window_seconds is 'How long what comes later is gathered before one update shows it; 0: never gathered.';
comment on column notify.types.jitter is 'Windows last this share longer or shorter, by chance, so that they do not all end at once.';
comment on column notify.types.max_group_size is 'A group of so many people is closed; who comes later opens the next one.';
comment on column notify.types.retention is 'Notifications expire after this unless sent otherwise.';
comment on column notify.types.dnd is 'While the recipient wants quiet: defer shows it silently in the app and keeps email and push until later, silent sends neither, ignore does not care.';
comment on column notify.types.title is 'Template of the title.';
comment on column notify.types.body is 'Template of the body; null: none.';
comment on column notify.types.url is 'Template of the link; null: none.';
comment on column notify.types.fallback is 'Template of the plain text for clients that do not know the type; null: title and body.';
comment on column notify.types.updated_at is 'When it was last changed.';

insert into notify.types (type, priority, followed_priority, channels, title, url)
select type, priority, followed_priority, channels,
  '{count, plural, offset:2 =0 {Someone} =1 {{first}} =2 {{first} and {second}} one {{first}, {second} and # other} other {{first}, {second} and # others}} ' || phrase, url
from (values
  ('post.liked', 'low', 'high', '{inApp}'::text[], 'liked your post', '/posts/{postId}'),
  ('comment.created', 'normal', null, '{inApp,email,webPush}', 'commented on your post', '/posts/{postId}{anchor}'),
  ('comment.replied', 'normal', null, '{inApp,email,webPush}', 'replied to your comment', '/posts/{postId}{anchor}'),
  ('user.mentioned', 'high', null, '{inApp,email,webPush}', 'mentioned you in a {object}', '/posts/{postId}{anchor}'),
  ('user.followed', 'normal', null, '{inApp,webPush}', 'followed you', '/users/{actorId}'),
  ('post.published', 'normal', null, '{inApp,webPush}', 'published a post', '/posts/{postId}')
) t (type, priority, followed_priority, channels, phrase, url);
insert into notify.types (type, channels) values ('system', '{inApp,email,webPush}');

create table notify.preferences (
  user_id bigint primary key,
  document jsonb not null,
  updated_at timestamptz not null default now()
);
comment on table notify.preferences is 'What users said about their notifications. Written while the inbox row is locked, which carries has_preferences: who said nothing costs a batch nothing.';
comment on column notify.preferences.user_id is 'Whose.';
comment on column notify.preferences.document is 'types, channels, policy, dnd, snoozeUntil as in the API; what is missing means the default.';
comment on column notify.preferences.updated_at is 'When it was last replaced.';

create table social.mutes (
  user_id bigint not null references social.users (id) on delete no action,
  other_id bigint not null references social.users (id) on delete no action,
  until timestamptz,
  created_at timestamptz not null default now(),
  primary key (user_id, other_id)
);
create index mutes_by_other on social.mutes (other_id, user_id);
comment on table social.mutes is 'Who does not want to hear of whom. Index mutes_by_other: clean-up of a deleted user.';
comment on column social.mutes.user_id is 'Who muted.';
comment on column social.mutes.other_id is 'Who is muted.';
comment on column social.mutes.until is 'Until when; null: until it is taken back.';
comment on column social.mutes.created_at is 'Since when.';

create table social.thread_mutes (
  user_id bigint not null references social.users (id) on delete no action,
  post_id bigint not null references social.posts (id) on delete no action,
  created_at timestamptz not null default now(),
  primary key (user_id, post_id)
);
create index thread_mutes_by_post on social.thread_mutes (post_id);
comment on table social.thread_mutes is 'Who does not want to hear of what happens below which post. Index thread_mutes_by_post: the check of the foreign key.';
comment on column social.thread_mutes.user_id is 'Who muted.';
comment on column social.thread_mutes.post_id is 'The post.';
comment on column social.thread_mutes.created_at is 'Since when.';

alter table notify.inbox add has_preferences boolean not null default false, add reachable_by text[] not null default '{}';
comment on column notify.inbox.reachable_by is 'Channels besides the app that can reach the user: email with a verified address, webPush with a subscription.';
comment on column notify.inbox.has_preferences is 'Whether notify.preferences has a row of the user.';

create table notify.windows (
  user_id bigint not null,
  group_key text not null,
  filtered boolean not null,
  type text not null,
  object_type text,
  object_id text,
  thread_key text,
  data jsonb not null default '{}',
  opened_at timestamptz not null default now(),
  due_at timestamptz not null,
  primary key (user_id, group_key, filtered)
) with (autovacuum_vacuum_scale_factor = 0.05);
create index windows_due on notify.windows (due_at, user_id);
comment on table notify.windows is 'Groups that gather: who came after the instant ones waits in notify.sources (waits_for) until the window is due, then one update shows all of them. Index windows_due: what to flush.';
comment on column notify.windows.user_id is 'Whose inbox.';
comment on column notify.windows.group_key is 'Key of the group.';
comment on column notify.windows.filtered is 'Whether it gathers what the policy for strangers holds back.';
comment on column notify.windows.type is 'Type of the group''s notifications.';
comment on column notify.windows.object_type is 'Kind of the object it is about.';
comment on column notify.windows.object_id is 'Id of the object it is about.';
comment on column notify.windows.thread_key is 'The post it belongs to, post:<id>.';
comment on column notify.windows.data is 'Facts of the latest event.';
comment on column notify.windows.opened_at is 'When the first one began to wait.';
comment on column notify.windows.due_at is 'When it is to be flushed.';

alter table notify.sources
  add waits_for text,
  add waits_filtered boolean not null default false,
  add decided_by text,
  add silent boolean not null default false;
create index sources_waiting on notify.sources (user_id, waits_for, actor_id, event_id) where waits_for is not null;
comment on column notify.sources.waits_for is 'Key of the group whose window it waits for; null: it does not wait. Index sources_waiting: the flush.';
comment on column notify.sources.waits_filtered is 'Whether that is the window of what the policy holds back.';
comment on column notify.sources.decided_by is 'The rule that decided: self, block, mute, threadMute, strangers, critical, typePreference, channelPreference, typeDefault, dnd, snooze.';
comment on column notify.sources.silent is 'True when the recipient wanted quiet.';
comment on column notify.sources.decision is 'What was decided: shown, rejoined, waiting, retracted, stale_group, suppressed, filtered, object_gone, removed.';

alter table notify.notifications add followed_actors smallint not null default 0, add filter_reason text;
comment on column notify.notifications.followed_actors is 'How many of actor_ids, from the first one on, the recipient follows: they stand in front.';
comment on column notify.notifications.filter_reason is 'Why it is filtered: strangers, held back by the policy; or otherChannels, wanted by email or push only.';
comment on column notify.notifications.filtered is 'Not in the app: not counted, not in changes. filter_reason says why.';
comment on column notify.notifications.actor_ids is 'Distinct actors, up to 8: whom the recipient follows first, then by latest; 3 are shown, the others stand by for retractions.';
drop index notify.notifications_open_group;
create unique index notifications_open_group on notify.notifications (user_id, group_key, filtered) where closed_at is null and group_key is not null;

create function notify.clock_change(zone text, low timestamptz, high timestamptz) returns timestamptz
  language plpgsql stable strict parallel safe
as $$
declare
  offset_before interval := (low at time zone zone) - (low at time zone 'UTC');
  a bigint := extract(epoch from low);
  b bigint := extract(epoch from high);
begin
  while b - a > 1 loop
    if (to_timestamp((a + b) / 2) at time zone zone) - (to_timestamp((a + b) / 2) at time zone 'UTC') = offset_before then a := (a + b) / 2;
    else b := (a + b) / 2; end if;
  end loop;
  return to_timestamp(b);
end
$$;
comment on function notify.clock_change(text, timestamptz, timestamptz) is 'The moment between two others, some hours apart, at which the clocks of the zone are changed.';

create function notify.quiet_until(dnd jsonb, at timestamptz) returns timestamptz
  language plpgsql stable strict parallel safe
as $$
declare
  zone text := dnd ->> 'timeZone';
  until timestamptz := at;
  wall timestamp;
  opens timestamp;
  closes timestamp;
  next timestamptz;
begin
  if not coalesce((dnd ->> 'enabled')::boolean, false) then return null; end if;
  -- Windows may meet: after the end of one the clock is asked again, for a week at most.
  while until < at + interval '7 days' loop
    wall := until at time zone zone;
    select w.opens, w.closes into opens, closes
    from (
      select day + (q ->> 'from')::time as opens,
             day + (q ->> 'to')::time + case when (q ->> 'to')::time <= (q ->> 'from')::time then interval '1 day' else interval '0' end as closes
      from jsonb_array_elements(dnd -> 'windows') q, unnest(array[wall::date, wall::date - 1]) day
      where q -> 'days' @> to_jsonb(extract(isodow from day)::int)
    ) w
    where w.opens <= wall and wall < w.closes
    order by w.closes desc limit 1;
    exit when closes is null;
    next := until + (closes - wall);
    if next at time zone zone <> closes then
      -- The clocks are changed before the window closes, to a time after, before, or inside it.
      next := notify.clock_change(zone, until, greatest(next, next + (closes - (next at time zone zone))));
    end if;
    until := next;
  end loop;
  return nullif(until, at);
end
$$;
comment on function notify.quiet_until(jsonb, timestamptz) is 'Until when somebody with this do-not-disturb schedule wants quiet; null when not at the given moment. Windows go by the clock on the wall in the schedule''s zone, across midnight and on days when the clock is changed.';

create function notify.explain(user_id bigint, type text, channel text, at timestamptz default now())
  returns table (decision text, decided_by text, reason text, until timestamptz)
  language sql stable
  begin atomic
    with facts as (
      select t.priority = 'critical' as critical, t.dnd,
             (p.document #>> array['types', explain.type, explain.channel])::boolean as of_type,
             coalesce((p.document #>> array['channels', explain.channel])::boolean, true) as of_channel,
             explain.channel = any (t.channels) as by_default,
             notify.quiet_until(p.document -> 'dnd', explain.at) as dnd_until,
             case when (p.document ->> 'snoozeUntil')::timestamptz > explain.at then (p.document ->> 'snoozeUntil')::timestamptz end as snooze_until
      from (select * from notify.types k where k.type in (explain.type, 'system') order by k.type = 'system' limit 1) t
      left join notify.preferences p on p.user_id = explain.user_id
    ), enabled as (
      select *, coalesce(of_type, of_channel and by_default) as wanted, greatest(dnd_until, snooze_until) as quiet_until,
             case when snooze_until >= coalesce(dnd_until, snooze_until) then 'snooze' when dnd_until is not null then 'dnd' end as quiet_by,
             case when of_type is not null then 'typePreference' when not of_channel then 'channelPreference' else 'typeDefault' end as wanted_by
      from facts
    )
    select case when critical then 'allow' when not wanted then 'suppress'
                when quiet_until is null or e.dnd = 'ignore' or explain.channel = 'inApp' then 'allow'
                when e.dnd = 'defer' then 'defer' else 'suppress' end,
           case when critical then 'critical' when not wanted or quiet_until is null or e.dnd = 'ignore' then wanted_by else quiet_by end,
           case when critical then 'critical notifications pass every preference'
                when not wanted then case wanted_by when 'typePreference' then 'the user switched this type off for this channel'
                  when 'channelPreference' then 'the user switched this channel off' else 'this channel is off by default for this type' end
                when quiet_until is null or e.dnd = 'ignore' then case wanted_by when 'typePreference' then 'the user switched this type on for this channel'
                  else 'this channel is on by default for this type' end
                when explain.channel = 'inApp' then 'the user wants quiet: shown silently'
                when e.dnd = 'defer' then 'the user wants quiet: kept until later' else 'the user wants quiet' end,
           case when not critical and wanted and e.dnd <> 'ignore' then quiet_until end
    from enabled e;
  end;
comment on function notify.explain(bigint, text, text, timestamptz) is 'What the preferences of a user say to a type on a channel (inApp, email, webPush) at a moment, and which rule decides. Who acts is not asked here: notify.why shows what was decided for a notification. The same rules as src/notify/rules/decide.ts; a test compares both on generated documents.';
