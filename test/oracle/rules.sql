-- A second, slow and simple implementation of the rules: the domain tables and the preferences decide who is notified. Called after
-- everything was dispatched; between two calls nobody does and undoes the same thing. It reads only the input of the engine: types,
-- preferences, and the order of events (notify.outbox).
create schema oracle;

-- Facts that no domain table stores: sends, and the subscribers of an author at the time of a post.
create table oracle.sent (
  recipient bigint, source text, actor bigint, type text, grp text, priority text, primary key (recipient, source)
);
create table oracle.rung (post_id bigint, listener bigint, primary key (post_id, listener));
create table oracle.heard (last_post bigint not null);
insert into oracle.heard values (0);

-- One row per recipient and source: whether its fact exists (`active`), its result, and its notification.
create table oracle.sources (
  recipient bigint, source text, actor bigint, grp text, filter text, generation int,
  active boolean, notified boolean not null default false, live boolean not null default false, waits boolean not null default false,
  followed boolean, wavered boolean not null default false, at bigint, status text, rule text,
  primary key (recipient, source)
);
create table oracle.notification (
  recipient bigint, grp text, filter text, generation int, type text, object text, priority text,
  open boolean not null default true, read boolean not null default false, archived boolean not null default false,
  silent boolean, mail text,
  primary key (recipient, grp, filter, generation)
);

-- Who must be notified of what, by the current domain tables.
create view oracle.fact as
select p.author_id as recipient, 'like:' || l.post_id || ':' || l.user_id as source, l.user_id as actor, 'post.liked' as type,
       'post.liked:' || l.post_id as grp, 'post:' || l.post_id as object, l.post_id as thread, null as priority, false as mentions
from social.likes l join social.posts p on p.id = l.post_id where p.deleted_at is null
union all
select f.followee_id, 'follow:' || f.follower_id || ':' || f.followee_id, f.follower_id, 'user.followed',
       'user.followed:' || to_char(f.created_at at time zone 'utc', 'YYYY-MM-DD'), 'user:' || f.followee_id, null, null, false
from social.follows f
union all
select recipient, 'comment:' || id, author_id, type, grp, object, post_id, null, mentions
from (
  select distinct on (w.recipient, c.id) w.recipient, c.id, c.author_id, w.type, w.grp, w.object, c.post_id, parent.deleted_at as parent_gone,
    coalesce(w.recipient = named.id, false) as mentions
  from social.comments c
  join social.posts p on p.id = c.post_id
  left join social.comments parent on parent.id = c.parent_id
  left join social.users named on named.username = substring(c.body from '@(user[0-9]+)')
  cross join lateral (values
    (1, parent.author_id, 'comment.replied', 'comment.replied:' || c.parent_id, 'comment:' || c.parent_id),
    (2, named.id, 'user.mentioned', 'comment:' || c.id, 'comment:' || c.id),
    (3, p.author_id, 'comment.created', 'comment.created:' || c.post_id, 'post:' || c.post_id)
  ) w (place, recipient, type, grp, object)
  where c.deleted_at is null and p.deleted_at is null and w.recipient is not null
  order by w.recipient, c.id, w.place
) facts where type <> 'comment.replied' or parent_gone is null
union all
select recipient, 'post:' || id, author_id, type, 'post:' || id, 'post:' || id, id, null, false
from (
  select distinct on (w.recipient, p.id) w.recipient, p.id, p.author_id, w.type
  from social.posts p
  cross join lateral (
    select 1, u.id, 'user.mentioned' from social.users u where u.username = substring(p.body from '@(user[0-9]+)')
    union all
    select 2, r.listener, 'post.published' from oracle.rung r where r.post_id = p.id
  ) w (place, recipient, type)
  where p.deleted_at is null
  order by w.recipient, p.id, w.place
) facts
union all
select recipient, source, actor, type, grp, null, null, priority, false from oracle.sent;

create function oracle.follows(follower bigint, followee bigint) returns boolean language sql stable as $$
  select exists (select from social.follows f where (f.follower_id, f.followee_id) = (follower, followee))
$$;

create function oracle.wants(document jsonb, type text, channel text, by_default boolean) returns boolean language sql stable as $$
  select coalesce((document #>> array['types', type, channel])::boolean,
                  coalesce((document #>> array['channels', channel])::boolean, true) and by_default)
$$;

-- The deciding rule; the filter: shown in the app ('none'), filtered (reason), or nowhere (null); and the state of the mail.
-- In the trace, quiet hours last whole days, and snoozes end in another century.
create function oracle.verdict(
  recipient bigint, actor bigint, type text, thread bigint, priority text, out rule text, out filter text, out mail text
) language plpgsql stable as $$
declare
  kind notify.types;
  document jsonb := (select p.document from notify.preferences p where p.user_id = recipient);
  stranger boolean := not oracle.follows(recipient, actor);
  reachable boolean := exists (select from social.users u where u.id = recipient and u.email_verified_at is not null);
  snoozed boolean := (document ->> 'snoozeUntil')::timestamptz > now();
  quiet boolean := (document #>> '{dnd,enabled}')::boolean and exists (
    select from jsonb_array_elements(document #> '{dnd,windows}') w
    where w -> 'days' @> to_jsonb(extract(isodow from now() at time zone (document #>> '{dnd,timeZone}'))::int));
begin
  select * into kind from notify.types k where k.type in (verdict.type, 'system') order by k.type = 'system' limit 1;
  rule := case
    when exists (select from social.blocks b where (b.user_id, b.other_id) in ((recipient, actor), (actor, recipient))) then 'block'
    when exists (select from social.mutes m where m.user_id = recipient and m.other_id = actor and (m.until is null or m.until > now())) then 'mute'
    when exists (select from social.thread_mutes m where m.user_id = recipient and m.post_id = thread) then 'threadMute'
    when stranger and document #>> '{policy,strangers}' in ('drop', 'filter') then 'strangers'
  end;
  if rule is not null then
    filter := case when rule = 'strangers' and document #>> '{policy,strangers}' = 'filter' then 'strangers' end;
    return;
  end if;
  if coalesce(priority, kind.priority) = 'critical' then
    rule := 'critical';
    filter := 'none';
    mail := case when reachable then 'queued' end;
    return;
  end if;
  if reachable and oracle.wants(document, type, 'email', 'email' = any(kind.channels)) then
    mail := case when snoozed or quiet then 'deferred' else 'queued' end;
  end if;
  rule := case
    when document #>> array['types', type, 'inApp'] is not null then 'typePreference'
    when (document #>> '{channels,inApp}')::boolean is false then 'channelPreference'
    else 'typeDefault' end;
  if oracle.wants(document, type, 'inApp', 'inApp' = any(kind.channels)) then
    rule := case when snoozed then 'snooze' when quiet then 'dnd' else rule end;
    filter := 'none';
  elsif mail is not null then
    filter := 'otherChannels';
  end if;
  if mail is null and reachable and (document #>> array['types', type, 'email'] is not null or (document #>> '{channels,email}')::boolean is false) then
    mail := 'skipped';
  end if;
end
$$;

-- The recipient began or ceased to follow the actor meanwhile: the order of the actors may be the former or the current one.
create procedure oracle.note_follows() language sql as $$
  update oracle.sources set wavered = true where live and not wavered and followed <> oracle.follows(recipient, actor)
$$;

-- Closes notifications without actors; the next event makes another one.
create procedure oracle.close_empty() language sql as $$
  update oracle.notification n set open = false
  where open and not exists (select from oracle.sources t where t.live and t.recipient = n.recipient and t.grp = n.grp and t.filter = n.filter and t.generation = n.generation)
$$;

create procedure oracle.block(blocker bigint, other bigint) language sql as $$
  update oracle.sources set live = false, status = 'retracted' where recipient = blocker and actor = other and live
$$;

create procedure oracle.read_all(reader bigint) language sql as $$
  update oracle.notification set open = false, read = true where recipient = reader and filter = 'none' and not read and not archived
$$;

-- A user's action on the notification that contains a live source.
create procedure oracle.touch(what text, reader bigint, of_source text) language plpgsql as $$
declare
  t oracle.sources := (select t from oracle.sources t where t.recipient = reader and t.source = of_source and t.live);
begin
  update oracle.notification n set open = open and what in ('unread', 'unarchive'),
    read = case what when 'read' then true when 'unread' then false else read end,
    archived = case what when 'archive' then true when 'unarchive' then false else archived end
  where n.recipient = reader and n.grp = t.grp and n.filter = t.filter and n.generation = t.generation;
  if what = 'remove' then
    update oracle.sources x set live = false, status = 'removed'
    where x.recipient = reader and x.grp = t.grp and x.filter = t.filter and x.generation = t.generation and x.live;
  end if;
end
$$;

-- Retracts sources whose fact no longer exists. Deleted accounts have no inbox.
create procedure oracle.undo() language plpgsql as $$
begin
  call oracle.note_follows();
  delete from oracle.sources t using social.users u where u.id = t.recipient and u.deleted_at is not null;
  delete from oracle.sent s using social.users u where u.id = s.recipient and u.deleted_at is not null;
  delete from oracle.rung r using social.users u where u.id = r.listener and u.deleted_at is not null;
  create temporary table facts on commit drop as select recipient, source from oracle.fact;
  analyze facts;
  update oracle.sources set waits = false where waits;
  update oracle.sources t set active = false, live = false
  where active and not exists (select from facts f where f.recipient = t.recipient and f.source = t.source);
  drop table facts;
  call oracle.close_empty();
end
$$;

-- Notifies of existing facts that were not decided yet, each once.
create procedure oracle.notify() language plpgsql as $$
begin
  call oracle.note_follows();
  insert into oracle.rung select p.id, b.user_id from social.posts p join social.bells b on b.author_id = p.author_id, oracle.heard h where p.id > h.last_post;
  update oracle.heard set last_post = (select coalesce(max(id), 0) from social.posts);

  -- A source that was notified before returns to its notification while that is open, and makes no other one.
  create temporary table fresh on commit drop as
  select f.*, v.rule, v.mail, v.filter is not null as passes, coalesce(t.notified, false) as again,
    case when t.notified then t.filter else v.filter end as filter,
    coalesce(t.notified and n.open, false) and v.filter is not null as back, e.at,
    f.grp is distinct from f.source and f.priority is null as gathered
  from oracle.fact f
  left join oracle.sources t on t.recipient = f.recipient and t.source = f.source
  left join oracle.notification n on n.recipient = t.recipient and n.grp = t.grp and n.filter = t.filter and n.generation = t.generation
  left join (select o.recipient_id, o.source_id, max(o.id) as at from notify.outbox o where not o.retracts group by 1, 2) e
    on e.recipient_id = f.recipient and e.source_id = f.source
  cross join lateral oracle.verdict(f.recipient, f.actor, f.type, f.thread, f.priority) v
  where f.recipient <> f.actor and not coalesce(t.active, false);
  analyze fresh;

  -- The first people of a group are shown at once, the others wait for the window. People already in the open group count.
  -- Mentions never wait.
  update oracle.sources set waits = false where waits;
  create temporary table late on commit drop as
  select p.recipient, p.source from (
    select f.recipient, f.source, f.again, f.mentions, k.window_seconds, k.instant_threshold, (
        select count(distinct earlier.actor) from (
          select t.actor from oracle.notification n
          join oracle.sources t on t.recipient = n.recipient and t.grp = n.grp and t.filter = n.filter and t.generation = n.generation and t.live
          where n.open and n.recipient = f.recipient and n.grp = f.grp and n.filter = f.filter
          union all
          select e.actor from fresh e
          where e.recipient = f.recipient and e.grp = f.grp and e.filter = f.filter and e.at < f.at and e.gathered and (e.back or e.passes and not e.again)
        ) earlier) as before
    from fresh f join notify.types k on k.type = f.type
    where f.gathered and (f.back or f.passes and not f.again)
  ) p where not p.again and not p.mentions and p.window_seconds > 0 and p.before >= p.instant_threshold;

  insert into oracle.sources (recipient, source, actor, grp, filter, active, at, rule, status)
  select recipient, source, actor, grp, filter, true, at, rule,
    case when not passes then 'suppressed' when back then 'rejoined' when again then 'stale_group' when filter <> 'none' then 'filtered' else 'shown' end
  from fresh
  on conflict (recipient, source) do update set active = true, at = excluded.at, rule = excluded.rule, status = excluded.status, filter = excluded.filter,
    wavered = case when excluded.status = 'rejoined' then sources.wavered else false end;

  update oracle.sources t set live = true, followed = oracle.follows(t.recipient, t.actor) from fresh f
  where f.back and t.recipient = f.recipient and t.source = f.source;

  insert into oracle.notification (recipient, grp, filter, generation, type, object, priority)
  select distinct on (f.recipient, f.grp, f.filter) f.recipient, f.grp, f.filter,
    1 + (select count(*) from oracle.notification n where n.recipient = f.recipient and n.grp = f.grp and n.filter = f.filter), f.type, f.object, f.priority
  from fresh f
  where not f.again and f.passes and not exists (
    select from oracle.notification n where n.open and n.recipient = f.recipient and n.grp = f.grp and n.filter = f.filter);

  update oracle.sources t set live = true, notified = true, generation = n.generation, followed = oracle.follows(t.recipient, t.actor),
    waits = exists (select from late l where l.recipient = t.recipient and l.source = t.source)
  from fresh f, oracle.notification n
  where not f.again and f.passes and t.recipient = f.recipient and t.source = f.source
    and n.open and n.recipient = t.recipient and n.grp = t.grp and n.filter = t.filter;

  -- The notification grew: silently or not, and with a mail or not.
  update oracle.notification n set silent = n.filter = 'none' and f.rule in ('dnd', 'snooze'),
    mail = case when n.filter = 'strangers' then null else coalesce(nullif(f.mail, 'skipped'), n.mail, f.mail) end
  from fresh f
  where not f.again and f.passes and n.open and n.recipient = f.recipient and n.grp = f.grp and n.filter = f.filter;
  drop table fresh, late;
end
$$;

-- Expected inboxes. comment: the comment whose beginning is shown, the latest of the group. The first three actors and the priority only
-- where they are unique: not after a follow or unfollow meanwhile, when an actor's latest of several sources was retracted, or when a
-- source returned to a group that waits for a window.
create view oracle.expected as
select n.recipient, n.type, n.grp, n.filter,
  row_number() over (partition by n.recipient, n.grp, n.filter order by n.generation) as place,
  n.object, n.read, n.archived, n.silent, n.mail, a.people as actor_count, a.actors::text as actors, a.comment,
  case when not a.unsure and not (a.back and k.window_seconds > 0) and a.first = a.first_of_all then a.first::text end as first,
  case when n.priority is not null then n.priority
       when not a.unsure then case when a.followed then coalesce(k.followed_priority, k.priority) else k.priority end end as priority
from oracle.notification n
join lateral (select * from notify.types k where k.type in (n.type, 'system') order by k.type = 'system' limit 1) k on true
join (
  select recipient, grp, filter, generation, count(*) as people, array_agg(actor order by actor) as actors, max(comment) as comment,
    bool_or(wavered) as unsure, bool_or(back) as back, bool_or(followed) as followed,
    (array_agg(actor order by followed desc, latest desc))[1:3] as first,
    (array_agg(actor order by followed desc, latest_of_all desc))[1:3] as first_of_all
  from (
    select recipient, grp, filter, generation, actor, max(substring(source from '^comment:([0-9]+)$')::bigint) filter (where live) as comment, bool_or(live) as live, bool_or(wavered and live) as wavered, bool_or(followed and live) as followed,
      bool_or(live and status = 'rejoined') as back, max(at) filter (where live) as latest, max(at) filter (where notified) as latest_of_all
    from oracle.sources group by recipient, grp, filter, generation, actor
  ) actor where live
  group by recipient, grp, filter, generation
) a on a.recipient = n.recipient and a.grp = n.grp and a.filter = n.filter and a.generation = n.generation;

create view oracle.found as
select n.user_id as recipient, n.type, coalesce(n.group_key, s.source) as grp, coalesce(n.filter_reason, 'none') as filter,
  row_number() over (partition by n.user_id, coalesce(n.group_key, s.source), n.filter_reason order by n.id) as place,
  n.object_type || ':' || n.object_id as object, n.read_at is not null as read, n.archived_at is not null as archived, n.silent,
  d.state as mail, n.actor_count as actor_count, s.actors::text as actors, (n.data ->> 'commentId')::bigint as comment, n.actor_ids[1:3]::text as first, n.priority
from notify.notifications n
left join (
  select user_id, notification_id, min(source_id) as source, array_agg(distinct actor_id order by actor_id) as actors
  from notify.sources where live group by user_id, notification_id
) s on s.user_id = n.user_id and s.notification_id = n.id
left join notify.deliveries d on d.user_id = n.user_id and d.notification_id = n.id and d.channel = 'email';

-- Differences in who waits, before the windows end.
create view oracle.waiting_differences as
select 'should wait' as what, recipient, source from (
  select recipient, source from oracle.sources where waits except select user_id, source_id from notify.sources where waits_for is not null) x
union all
select 'should not wait', * from (
  select user_id, source_id from notify.sources where waits_for is not null except select recipient, source from oracle.sources where waits) x;

-- All differences, after the windows ended.
create function oracle.differences() returns table (what text, recipient bigint, details text) language sql as $$
  with expected as materialized (select * from oracle.expected), found as materialized (select * from oracle.found),
  plain_expected as (select recipient, type, grp, filter, place, object, read, archived, silent, mail, actor_count, actors, comment from expected),
  plain_found as (select recipient, type, grp, filter, place, object, read, archived, silent, mail, actor_count, actors, comment from found),
  missing as (select * from plain_expected except all select * from plain_found limit 5),
  superfluous as (select * from plain_found except all select * from plain_expected limit 5)
  select 'missing', recipient, m::text from missing m
  union all
  select 'too much', recipient, m::text from superfluous m
  union all (
    select 'order of actors', recipient, concat_ws(' ', grp, filter, 'expected', e.first, e.priority, 'found', f.first, f.priority)
    from expected e join found f using (recipient, grp, filter, place)
    where e.first <> f.first or e.priority <> f.priority limit 5
  ) union all (
    select 'decision', t.recipient, concat_ws(' ', t.source, 'expected', t.status, t.rule, 'found', s.decision, s.decided_by)
    from oracle.sources t left join notify.sources s on s.user_id = t.recipient and s.source_id = t.source
    where t.active and (t.status, t.rule) is distinct from (s.decision, s.decided_by) limit 5
  ) union all (
    select 'badge', i.user_id, concat_ws(' ', 'expected', coalesce(e.unread, 0), 'found', i.unread_count)
    from notify.inbox i
    left join (select recipient, count(*) as unread from expected where filter = 'none' and not read and not archived group by 1) e on e.recipient = i.user_id
    where i.unread_count <> coalesce(e.unread, 0) limit 5
  )
$$;
