-- The rules a second time, slow and obvious: what stands in the domain tables, and what people said, decide who is told.
-- Called where everything has settled; between two calls nobody does and undoes the same thing.
create schema oracle;

create table oracle.told (
  recipient bigint, source text, actor bigint, grp text, filtered boolean, generation int,
  standing boolean, notified boolean not null default false, live boolean not null default false,
  primary key (recipient, source)
);
create table oracle.notification (
  recipient bigint, grp text, filtered boolean, generation int, open boolean not null default true,
  primary key (recipient, grp, filtered, generation)
);

-- Who is to be told of what, as the domain tables stand.
create view oracle.fact as
select p.author_id as recipient, 'like:' || l.post_id || ':' || l.user_id as source, l.user_id as actor, 'post.liked' as type,
       'post.liked:' || l.post_id as grp, l.post_id as thread
from social.likes l join social.posts p on p.id = l.post_id where p.deleted_at is null
union all
select f.followee_id, 'follow:' || f.follower_id || ':' || f.followee_id, f.follower_id, 'user.followed', 'user.followed', null
from social.follows f
union all
select recipient, 'comment:' || id, author_id, type, grp, post_id
from (
  select distinct on (w.recipient, c.id) w.recipient, c.id, c.author_id, w.type, w.grp, c.post_id, parent.deleted_at as parent_gone
  from social.comments c
  join social.posts p on p.id = c.post_id
  left join social.comments parent on parent.id = c.parent_id
  left join social.users named on named.username = substring(c.body from '@(user[0-9]+)')
  cross join lateral (values
    (1, parent.author_id, 'comment.replied', 'comment.replied:' || c.parent_id),
    (2, named.id, 'user.mentioned', 'comment:' || c.id),
    (3, p.author_id, 'comment.created', 'comment.created:' || c.post_id)
  ) w (place, recipient, type, grp)
  where c.deleted_at is null and p.deleted_at is null and w.recipient is not null
  order by w.recipient, c.id, w.place
) told where type <> 'comment.replied' or parent_gone is null;

create function oracle.verdict(recipient bigint, actor bigint, type text, thread bigint) returns text language sql stable as $$
  select case
    when recipient = actor then 'no'
    when exists (select from social.blocks b where (b.user_id, b.other_id) in ((recipient, actor), (actor, recipient))) then 'no'
    when exists (select from social.mutes m where m.user_id = recipient and m.other_id = actor) then 'no'
    when exists (select from social.thread_mutes m where m.user_id = recipient and m.post_id = thread) then 'no'
    when said.strangers = 'drop' and not follows then 'no'
    when said.strangers = 'filter' and not follows then 'filtered'
    when not coalesce(said.wanted, true) then 'no'
    else 'shown' end
  from (select exists (select from social.follows f where f.follower_id = recipient and f.followee_id = actor) as follows) f
  left join (
    select p.document #>> '{policy,strangers}' as strangers,
           coalesce((p.document #>> array['types', verdict.type, 'inApp'])::boolean, (p.document #>> '{channels,inApp}')::boolean) as wanted
    from notify.preferences p where p.user_id = recipient
  ) said on true
$$;

-- Nobody is left: the notification is gone, and the next one is another.
create procedure oracle.close_empty() language sql as $$
  update oracle.notification n set open = false
  where open and not exists (select from oracle.told t where t.live and t.recipient = n.recipient and t.grp = n.grp and t.filtered = n.filtered and t.generation = n.generation)
$$;

create procedure oracle.block(blocker bigint, other bigint) language sql as $$
  update oracle.told set live = false where recipient = blocker and actor = other
$$;

create procedure oracle.read_all(reader bigint) language sql as $$
  update oracle.notification set open = false where recipient = reader and not filtered
$$;

-- What does not stand any more is taken back.
create procedure oracle.undo() language plpgsql as $$
begin
  update oracle.told t set standing = false, live = false
  where standing and not exists (select from oracle.fact f where f.recipient = t.recipient and f.source = t.source);
  call oracle.close_empty();
end
$$;

-- What stands and was not judged yet is told, once.
create procedure oracle.tell() language plpgsql as $$
begin
  create temporary table fresh on commit drop as
  select f.*, oracle.verdict(f.recipient, f.actor, f.type, f.thread) as verdict, coalesce(t.notified, false) as again
  from oracle.fact f left join oracle.told t on t.recipient = f.recipient and t.source = f.source
  where f.recipient <> f.actor and not coalesce(t.standing, false);

  insert into oracle.told (recipient, source, actor, grp, filtered, standing)
  select recipient, source, actor, grp, verdict = 'filtered', true from fresh
  on conflict (recipient, source) do update set standing = true,
    filtered = case when told.notified then told.filtered else excluded.filtered end;

  -- Who was told before comes back to the notification of then while that is open, and makes no other one.
  update oracle.told t set live = true from fresh f, oracle.notification n
  where f.again and f.verdict <> 'no' and t.recipient = f.recipient and t.source = f.source
    and n.open and n.recipient = t.recipient and n.grp = t.grp and n.filtered = t.filtered and n.generation = t.generation;

  insert into oracle.notification (recipient, grp, filtered, generation)
  select distinct f.recipient, f.grp, f.verdict = 'filtered',
    1 + (select count(*) from oracle.notification n where n.recipient = f.recipient and n.grp = f.grp and n.filtered = (f.verdict = 'filtered'))
  from fresh f
  where not f.again and f.verdict <> 'no' and not exists (
    select from oracle.notification n where n.open and n.recipient = f.recipient and n.grp = f.grp and n.filtered = (f.verdict = 'filtered'));

  update oracle.told t set live = true, notified = true, generation = n.generation from fresh f, oracle.notification n
  where not f.again and f.verdict <> 'no' and t.recipient = f.recipient and t.source = f.source
    and n.open and n.recipient = t.recipient and n.grp = t.grp and n.filtered = t.filtered;
  drop table fresh;
end
$$;

create view oracle.expected as
select recipient, grp, filtered, array_agg(distinct actor order by actor)::text as actors
from oracle.told where live group by recipient, grp, filtered, generation;

create view oracle.found as
select n.user_id as recipient, case when n.type = 'user.followed' then n.type else coalesce(n.group_key, min(s.source_id)) end as grp, n.filtered,
       array_agg(distinct s.actor_id order by s.actor_id)::text as actors
from notify.notifications n
left join notify.sources s on s.user_id = n.user_id and s.notification_id = n.id and s.live
group by n.user_id, n.id;
