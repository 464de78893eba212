-- Types of notifications as data, and the settings of users.

create table notify.types (
  type text collate "C" primary key,
  social boolean not null default false,
  priority text not null default 'normal' constraint type_priority_known check (priority in ('critical', 'high', 'normal', 'low')),
  followed_priority text constraint type_followed_priority_known check (followed_priority in ('critical', 'high', 'normal', 'low')),
  severity text not null default 'info' constraint type_severity_known check (severity in ('info', 'success', 'warning', 'error')),
  channels text[] not null default '{inApp}' constraint type_channels_known check (channels <@ '{inApp,email,webPush}'),
  instant_threshold integer not null default 0 constraint instant_threshold_not_negative check (instant_threshold >= 0),
  window_seconds integer not null default 0 constraint window_at_most_a_day check (window_seconds between 0 and 86400),
  jitter real not null default 0.25 constraint jitter_is_a_share check (jitter between 0 and 1),
  max_group_size integer not null default 100000 constraint group_holds_somebody check (max_group_size > 0),
  retention interval not null default '90 days'
    constraint retention_positive check (retention > '0')
    constraint retention_at_most_ten_years check (retention <= '3650 days'),
  dnd text not null default 'defer' constraint dnd_known check (dnd in ('defer', 'silent', 'ignore')),
  title text,
  body text,
  url text,
  fallback text,
  words jsonb not null default '{}' constraint type_words_by_locale check (jsonb_typeof(words) = 'object'),
  updated_at timestamptz not null default now()
);
comment on table notify.types is 'Properties of the types of notifications; processes notice a change within two seconds. A type without a row is treated like system. Templates are ICU messages over count (distinct people), first and second (their names), object (post, comment, user), postId, anchor (#comment-<id> or empty), actorId, preview (the beginning of the post or comment; without one the template is not used) and the texts and numbers of data.';
comment on column notify.types.type is 'Name of the type, for example post.liked.';
comment on column notify.types.social is 'True if only social actions create the type; applications cannot send it.';
comment on column notify.types.priority is 'Priority unless the sender chooses one. critical ignores preferences and quiet hours, but not blocks, mutes and the policy for strangers.';
comment on column notify.types.followed_priority is 'Priority when the recipient follows an actor of the notification. Null: the same as priority.';
comment on column notify.types.severity is 'Severity unless the sender chooses one.';
comment on column notify.types.channels is 'Channels that are on by default: inApp, email, webPush.';
comment on column notify.types.instant_threshold is 'Number of people of a group who are shown at once; later ones wait in a window.';
comment on column notify.types.window_seconds is 'Length of a window, in which later events wait for one common update. 0: events never wait.';
comment on column notify.types.jitter is 'Share by which windows are longer or shorter, at random, so that they do not all end together.';
comment on column notify.types.max_group_size is 'Number of people at which a group is closed; later events start the next one.';
comment on column notify.types.retention is 'Lifetime of a notification unless the sender chooses one; ten years at most.';
comment on column notify.types.dnd is 'Effect of quiet time. defer: shown silently in the app; email and push are delayed. silent: neither email nor push is sent. ignore: both are sent.';
comment on column notify.types.title is 'Template of the title.';
comment on column notify.types.body is 'Template of the body. Null: no body.';
comment on column notify.types.url is 'Template of the link. Null: no link.';
comment on column notify.types.fallback is 'Template of the plain text for clients that do not know the type. Null: title and body.';
comment on column notify.types.words is 'Templates in other languages, by locale: {"de": {"title", "body", "fallback"}}. A text that a locale lacks is taken from its language, then from the English columns of this row.';
comment on column notify.types.updated_at is 'Time of the last change.';

insert into notify.types (type, social, priority, followed_priority, channels, instant_threshold, window_seconds, title, url, body)
select type, true, priority, followed_priority, channels, instant_threshold, window_seconds,
  '{count, plural, offset:2 =0 {Someone} =1 {{first}} =2 {{first} and {second}} one {{first}, {second} and # other} other {{first}, {second} and # others}} ' || phrase, url, body
from (values
  ('post.liked', 'low', 'high', '{inApp}'::text[], 3, 120, 'liked your post', '/posts/{postId}', '{preview}'),
  ('comment.created', 'normal', null, '{inApp,email,webPush}', 0, 60, 'commented on your post', '/posts/{postId}{anchor}', '{preview}'),
  ('comment.replied', 'normal', null, '{inApp,email,webPush}', 3, 60, 'replied to your comment', '/posts/{postId}{anchor}', '{preview}'),
  ('user.mentioned', 'high', null, '{inApp,email,webPush}', 0, 0, 'mentioned you in a {object}', '/posts/{postId}{anchor}', '{preview}'),
  ('user.followed', 'normal', null, '{inApp,webPush}', 0, 0, 'followed you', '/users/{actorId}', null),
  ('post.published', 'normal', null, '{inApp,webPush}', 0, 0, 'published a post', '/posts/{postId}', '{preview}')
) t (type, priority, followed_priority, channels, instant_threshold, window_seconds, phrase, url, body);

update notify.types t set words = jsonb_build_object('de', jsonb_build_object('title',
  '{count, plural, offset:2 =0 {' || somebody || '} =1 {{first}} =2 {{first} und {second}} one {{first}, {second} und # weitere Person} other {{first}, {second} und # weitere Personen}} ' || phrase))
from (values
  ('post.liked', 'Jemandem', 'gefällt dein Beitrag'),
  ('comment.created', 'Jemand', '{count, plural, =0 {hat} one {hat} other {haben}} deinen Beitrag kommentiert'),
  ('comment.replied', 'Jemand', '{count, plural, =0 {hat} one {hat} other {haben}} auf deinen Kommentar geantwortet'),
  ('user.mentioned', 'Jemand', '{count, plural, =0 {hat} one {hat} other {haben}} dich in einem {object, select, post {Beitrag} comment {Kommentar} other {Text}} erwähnt'),
  ('user.followed', 'Jemand', '{count, plural, =0 {folgt} one {folgt} other {folgen}} dir'),
  ('post.published', 'Jemand', '{count, plural, =0 {hat} one {hat} other {haben}} einen Beitrag veröffentlicht')
) w (type, somebody, phrase)
where w.type = t.type;

insert into notify.types (type, channels) values ('system', '{inApp,email,webPush}');

create table notify.templates (
  id bigint generated always as identity primary key,
  name text collate "C" not null constraint template_name_length check (length(name) between 1 and 100),
  version integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  deleted_at timestamptz
);
comment on table notify.templates is 'Templates of broadcasts, written by administrators. Their texts are in notify.template_versions.';
comment on column notify.templates.id is 'Id of the template, as in the API.';
comment on column notify.templates.name is 'Name of the template, for people; unique among templates that are not deleted.';
comment on column notify.templates.version is 'Number of the current version.';
comment on column notify.templates.created_at is 'Time of the first version.';
comment on column notify.templates.updated_at is 'Time of the last change.';
comment on column notify.templates.deleted_at is 'Time of the deletion. Null: not deleted. Rows remain, because broadcasts refer to their versions.';

create unique index template_name_taken on notify.templates (name) where deleted_at is null;
comment on index notify.template_name_taken is 'One template per name, except deleted ones.';

create table notify.template_versions (
  template_id bigint not null references notify.templates (id) on delete no action,
  version integer not null,
  type text collate "C" not null,
  title text not null,
  body text,
  url text,
  variables jsonb not null constraint variables_by_name check (jsonb_typeof(variables) = 'object'),
  translations jsonb not null constraint translations_by_locale check (jsonb_typeof(translations) = 'object'),
  created_at timestamptz not null default now(),
  primary key (template_id, version)
);
comment on table notify.template_versions is 'All versions of the templates; a version never changes. Texts are ICU messages over the variables.';
comment on column notify.template_versions.template_id is 'The template.';
comment on column notify.template_versions.version is 'Number of the version, from 1.';
comment on column notify.template_versions.type is 'Type of the notifications made from it.';
comment on column notify.template_versions.title is 'Title in the default language.';
comment on column notify.template_versions.body is 'Body in the default language. Null: no body.';
comment on column notify.template_versions.url is 'Link. Null: no link.';
comment on column notify.template_versions.variables is 'Variables by name: {"amount": {"type": "number", "required": true}}.';
comment on column notify.template_versions.translations is 'Texts in other languages, by BCP 47 tag: {"de": {"title", "body"}}.';
comment on column notify.template_versions.created_at is 'Time at which the version was saved.';

create table notify.preferences (
  user_id bigint primary key,
  document jsonb not null,
  recent jsonb not null default '[]',
  updated_at timestamptz not null default now()
);
comment on table notify.preferences is 'Notification settings of users. Written while the inbox row is locked, whose has_preferences is set. So users without settings cost a batch nothing.';
comment on column notify.preferences.user_id is 'Owner of the settings.';
comment on column notify.preferences.document is 'Settings as in the API: types, channels, policy, dnd, snoozeUntil, cap, digest. A missing field means its default.';
comment on column notify.preferences.recent is 'The latest notifications with a sound, [{type, at}], newest first, as many as a cap in the document needs. Empty without a cap.';
comment on column notify.preferences.updated_at is 'Time of the last change.';

create function notify.clock_change(zone text, low timestamptz, high timestamptz) returns timestamptz
  language plpgsql stable strict parallel safe
as $$
declare
  offset_before interval := (low at time zone zone) - (low at time zone 'UTC');
  a bigint := extract(epoch from low);
  b bigint := extract(epoch from high);
begin
  while b - a > 1 loop
    if (to_timestamp((a + b) / 2) at time zone zone) - (to_timestamp((a + b) / 2) at time zone 'UTC') = offset_before then
      a := (a + b) / 2;
    else
      b := (a + b) / 2;
    end if;
  end loop;
  return to_timestamp(b);
end
$$;
comment on function notify.clock_change is 'The moment at which the clocks of the zone change, between two moments that are some hours apart.';

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
  -- One window may begin where another ends. So the end of a window is checked again, for at most a week.
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
      -- The clocks change before the window closes.
      next := notify.clock_change(zone, until, greatest(next, next + (closes - (next at time zone zone))));
    end if;
    until := next;
  end loop;
  return nullif(until, at);
end
$$;
comment on function notify.quiet_until is 'End of the quiet time at the given moment, by this do-not-disturb schedule; null when it is not quiet. Windows follow the wall clock of the schedule''s zone, across midnight and on days when the clock changes.';

create function notify.snooze_until(snooze text, at timestamptz) returns timestamptz
  language plpgsql stable strict parallel safe
as $$
declare
  p text[] := regexp_match(snooze, '^(?!0000)(\d{4})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])[T ]((?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d+)?)?)(?:Z|([+-](?:[01]\d|2[0-3])):?([0-5]\d)?)$', 'i');
  until timestamptz;
begin
  if p is null then return null; end if;
  -- Does not cast the whole text, because PostgreSQL refuses offsets of a day, which RFC 3339 allows.
  until := (make_date(p[1]::int, p[2]::int, 1) + (p[3]::int - 1) + date_trunc('milliseconds', p[4]::time)) at time zone 'UTC'
    - coalesce(p[5] || ':' || coalesce(p[6], '00'), '00:00')::interval;
  return case when until > at then until end;
end
$$;
comment on function notify.snooze_until is 'End of a snooze, given as an RFC 3339 time, to the millisecond. Null when the end is past at the given moment, and for any other text.';

create function notify.digest_at(digest jsonb, zone text, at timestamptz) returns timestamptz
  language sql stable strict parallel safe
  begin atomic
    select min(t.at)
    from (
      select (d.day + (digest_at.digest ->> 'at')::time) at time zone digest_at.zone as at
      from generate_series(-1, 8) n
      cross join lateral (select (digest_at.at at time zone digest_at.zone)::date + n as day) d
      where digest_at.digest ->> 'every' = 'day' or extract(isodow from d.day) = (digest_at.digest ->> 'day')::int
    ) t
    where t.at > digest_at.at;
  end;
comment on function notify.digest_at is 'Time of the first digest after the given moment, by the wall clock of the zone. If the clocks skip the time, the digest is an hour later; if they repeat it, the second time counts.';

create function notify.digest_zone(user_id bigint, digest jsonb) returns text
  language sql stable
  begin atomic
    select coalesce(digest_zone.digest ->> 'timeZone', (select u.time_zone from social.users u where u.id = digest_zone.user_id), 'UTC');
  end;
comment on function notify.digest_zone is 'Time zone of a digest: its own, else that of the user, else UTC.';

create function notify.capped_until(document jsonb, recent jsonb, type text, at timestamptz) returns timestamptz
  language sql stable strict parallel safe
  begin atomic
    select max(e.until)
    from (
      select (array_agg(r.at order by r.at desc))[(c.cap ->> 'atMost')::int] + make_interval(secs => (c.cap ->> 'seconds')::float8) as until
      from (values
        (capped_until.document -> 'cap', null),
        (capped_until.document #> array['types', capped_until.type, 'cap'], capped_until.type)
      ) c (cap, type)
      cross join lateral (
        select (x.item ->> 'at')::timestamptz as at from jsonb_array_elements(capped_until.recent) x (item)
        where c.type is null or x.item ->> 'type' = c.type
      ) r
      group by c.cap, c.type
    ) e
    where e.until > capped_until.at;
  end;
comment on function notify.capped_until is 'Time until which a notification of this type exceeds a cap of the preferences. Null: one more may make a sound.';

create function notify.explain(user_id bigint, type text, channel text, at timestamptz default now(), recent jsonb default null)
  returns table (decision text, decided_by text, reason text, until timestamptz)
  language sql stable
  begin atomic
    with facts as (
      select
        t.priority = 'critical' as critical,
        t.dnd,
        (p.document #>> array['types', explain.type, explain.channel])::boolean as of_type,
        coalesce((p.document #>> array['channels', explain.channel])::boolean, true) as of_channel,
        explain.channel = any (t.channels) as by_default,
        notify.quiet_until(p.document -> 'dnd', explain.at) as dnd_until,
        notify.snooze_until(p.document ->> 'snoozeUntil', explain.at) as snooze_until,
        case when explain.channel = 'email' then
          notify.digest_at(p.document -> 'digest', notify.digest_zone(explain.user_id, p.document -> 'digest'), explain.at)
        end as digest_at,
        notify.capped_until(p.document, coalesce(explain.recent, p.recent), t.asked, explain.at) as capped_until
      from (select k.*, explain.type as asked from notify.types k where k.type in (explain.type, 'system') order by k.type = 'system' limit 1) t
      left join notify.preferences p on p.user_id = explain.user_id
    ), enabled as (
      select
        *,
        coalesce(of_type, of_channel and by_default) as wanted,
        case
          when of_type is not null then 'typePreference'
          when not of_channel then 'channelPreference'
          else 'typeDefault'
        end as wanted_by,
        coalesce(digest_at, greatest(dnd_until, snooze_until), capped_until) as later,
        case
          when digest_at is not null then 'digest'
          when snooze_until >= coalesce(dnd_until, snooze_until) then 'snooze'
          when dnd_until is not null then 'dnd'
          else 'cap'
        end as later_by
      from facts
    ), decided as (
      select *, not critical and wanted and dnd <> 'ignore' and later is not null as is_later from enabled
    )
    select
      case
        when critical then 'allow'
        when not wanted then 'suppress'
        when not is_later or explain.channel = 'inApp' then 'allow'
        when e.dnd = 'defer' or later_by in ('digest', 'cap') then 'defer'
        else 'suppress'
      end,
      case when critical then 'critical' when is_later then later_by else wanted_by end,
      case
        when critical then 'critical notifications ignore preferences'
        when not wanted then
          case wanted_by
            when 'typePreference' then 'the user switched this type off for this channel'
            when 'channelPreference' then 'the user switched this channel off'
            else 'this channel is off by default for this type'
          end
        when not is_later then
          case wanted_by
            when 'typePreference' then 'the user switched this type on for this channel'
            else 'this channel is on by default for this type'
          end
        when later_by = 'digest' then 'kept for the digest of the user'
        when later_by = 'cap' then
          case when explain.channel = 'inApp' then 'more than the user wants at a time: shown silently' else 'more than the user wants at a time: gathered' end
        when explain.channel = 'inApp' then 'the user wants quiet: shown silently'
        when e.dnd = 'defer' then 'the user wants quiet: kept until later'
        else 'the user wants quiet'
      end,
      case when is_later then later end
    from decided e;
  end;
comment on function notify.explain is 'What the preferences of a user decide for a type on a channel (inApp, email, webPush) at a moment, and by which rule. recent: the notifications that count for a cap, by default those in notify.preferences. The actor has no influence here; notify.why shows the decisions for a notification. The rules are those of decide.ts, and a test compares both on generated documents.';
