-- What must always hold, and the rows that break it. Counts of inboxes and posts are recounted for those that the newest 2,000 events of the log concern.
with newest as materialized (
  select * from notify.outbox o where o.id > (select max(id) from notify.outbox) - 2000
), inboxes as materialized (
  select i.*
  from (select distinct recipient_id from newest) r
  -- offset 0: looked up one by one, not by reading all inboxes in order.
  cross join lateral (select * from notify.inbox i where i.user_id = r.recipient_id offset 0) i
), posts as materialized (
  select p.id, p.like_count
  from social.posts p
  where p.id in (select object_id::bigint from newest where type = 'post.liked' and object_type = 'post') and p.deleted_at is null and p.like_count <= 10000
), lag as materialized (
  select * from ops.lag
), audited as materialized (
  select
    a.id,
    a.at,
    a.actor,
    a.action,
    a.hash <> notify.audit_hash(a) as changed,
    lag(a.id, 1, a.id - 1) over (order by a.id, a.at) as id_before,
    lag(a.hash, 1, a.previous) over (order by a.id, a.at) <> a.previous as unchained
  from (select * from notify.audit a order by a.id desc limit 200) a
), checked (place, name, title, looked_at, broken) as (
  select 1, 'unread', 'The unread count of each inbox equals a recount', (select count(*) from inboxes),
    (select jsonb_agg(to_jsonb(b)) from (
       select i.user_id::text as "userId", i.unread_count as stored, c.n as recounted
       from inboxes i
       cross join lateral (
         select count(*) as n from notify.notifications n where n.user_id = i.user_id and n.read_at is null and n.archived_at is null and not n.filtered
       ) c
       where i.unread_count <> c.n
       limit 20) b)
  union all
  select 2, 'unseen', 'The unseen count of each inbox equals a recount', (select count(*) from inboxes),
    (select jsonb_agg(to_jsonb(b)) from (
       select i.user_id::text as "userId", i.unseen_count as stored, c.n as recounted
       from inboxes i
       cross join lateral (
         select count(*) as n from notify.notifications n where n.user_id = i.user_id and n.grown_modseq > i.seen_modseq and n.read_at is null and n.archived_at is null and not n.filtered
       ) c
       where i.unseen_count <> c.n
       limit 20) b)
  union all
  select 3, 'states', 'No change has a number above the state of its inbox', (select count(*) from inboxes),
    (select jsonb_agg(to_jsonb(b)) from (
       select i.user_id::text as "userId", i.modseq::text as state, n.modseq::text as change
       from inboxes i
       cross join lateral (select n.modseq from notify.notifications n where n.user_id = i.user_id order by n.modseq desc limit 1) n
       where n.modseq > i.modseq or i.seen_modseq > i.modseq or i.acked_modseq > i.modseq
       limit 20) b)
  union all
  select 4, 'waiting', 'Every source that waits has its window', (select count(*) from inboxes),
    (select jsonb_agg(to_jsonb(b)) from (
       select s.user_id::text as "userId", s.source_id as "sourceId", s.waits_for as "waitsFor"
       from inboxes i
       join notify.sources s on s.user_id = i.user_id and s.waits_for is not null
       where not exists (select from notify.windows w where w.user_id = s.user_id and w.group_key = s.waits_for and w.filter = s.waits_filter)
       limit 20) b)
  union all
  select 5, 'flushes', 'No window is overdue by more than a minute', (select count(*) from (select from notify.windows limit 10001) w),
    (select jsonb_agg(to_jsonb(b)) from (
       select w.user_id::text as "userId", w.group_key as "groupKey", w.due_at as "dueAt", w.attempts, w.last_error as "lastError"
       from notify.windows w
       where w.due_at < now() - interval '1 minute'
       order by w.due_at
       limit 20) b)
  union all
  select 6, 'likes', 'The like count of each post equals a recount, once the log is read', case when (select sum(events) from lag where consumer = 'counters') = 0 then (select count(*) from posts) else 0 end,
    (select jsonb_agg(to_jsonb(b)) from (
       select p.id::text as "postId", p.like_count as stored, c.n as recounted
       from posts p
       cross join lateral (select count(*) as n from social.likes l where l.post_id = p.id) c
       where p.like_count <> c.n and (select sum(events) from lag where consumer = 'counters') = 0
       limit 20) b)
  union all
  select 7, 'lanes', 'No lane fails, and no event waits for more than a minute', (select count(*) from lag),
    (select jsonb_agg(to_jsonb(b)) from (
       select l.consumer, l.lane, l.events, l.oldest_at as "oldestAt", l.last_error as "lastError"
       from lag l
       where l.failing_since is not null or l.age > interval '1 minute') b)
  union all
  select 8, 'dead letters', 'No event has used up its attempts', (select count(*) from (select from notify.pending limit 10001) p),
    (select jsonb_agg(to_jsonb(b)) from (
       select p.id::text as id, p.consumer, p.recipient_id::text as "recipientId", p.last_error as "lastError", p.dead_at as "deadAt"
       from notify.pending p
       where p.dead_at is not null
       order by p.created_at desc
       limit 20) b)
  union all
  select 9, 'partitions', 'The logs have partitions for what comes next', 2,
    (select jsonb_agg(to_jsonb(b)) from (
       select 'notify.outbox' as log
       where not exists (select from notify.outbox_partitions p where p.to_id > (select coalesce(max(id), 0) + 100000 from notify.outbox))
       union all
       select 'notify.delivery_log'
       where not exists (select from notify.delivery_log_days d where d.to_at > now() + interval '1 day')) b)
  union all
  select 10, 'audit', 'The newest 200 rows of the audit log are unchanged, and none is missing; ops.audit_breaks checks all', (select count(*) from audited),
    (select jsonb_agg(to_jsonb(b)) from (
       select a.id::text as id, a.at, a.actor, a.action, case when a.changed then 'the row was changed' else 'the row before it was changed, removed or added' end as reason
       from audited a
       where a.changed or a.unchained or a.id <> a.id_before + 1
       union all
       select c.last_id::text, c.last_at, null, null, 'the newest rows were removed'
       from notify.audit_chain c
       where c.last_id <> (select coalesce(max(a.id), c.first_id - 1) from notify.audit a)
       limit 20) b)
)
select
  name as "name",
  title as "title",
  looked_at::float8 as "checked",
  broken is null as "holds",
  coalesce(broken, '[]') as "rows"
from checked
order by place
