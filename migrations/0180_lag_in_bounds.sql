-- ops.lag by index ranges that begin where its reader has come to, and no further than a bound: every scrape asks it.

create or replace view ops.lag as
select p.consumer, p.lane, p.critical, coalesce(e.events, 0) as events, e.oldest_at, now() - e.oldest_at as age, p.moved_at,
       pg_snapshot_xmin(p.done) as done_xmin
from (
  select *, array(select x from pg_snapshot_xip(done) x where pg_visible_in_snapshot(x, pg_current_snapshot())) as ended,
         (select last_value from notify.outbox_id_seq) as last_id
  from notify.positions
) p
left join lateral (
  select count(*) as events, min(u.created_at) as oldest_at
  from (
    (select o.*
     from generate_series(p.shard_from::int, p.shard_to::int) s (shard)
     cross join lateral (
       (select o.shard, o.xid, o.id, o.counted, o.created_at
        from unnest(p.ended) x (xid) cross join lateral (
          select * from notify.outbox o
          where o.shard = s.shard and not o.critical and o.id >= p.from_id and o.id <= any (array[p.last_id]) and o.xid = x.xid
          order by o.xid, o.id limit 10001) o)
       union all
       (select o.shard, o.xid, o.id, o.counted, o.created_at
        from notify.outbox o
        where o.shard = s.shard and not o.critical and o.id >= p.from_id and o.id <= any (array[p.last_id]) and o.xid >= pg_snapshot_xmax(p.done)
        order by o.xid, o.id limit 10001)
     ) o
     where not p.critical and not coalesce(pg_visible_in_snapshot(o.xid, p.target) and (o.shard, o.xid, o.id) <= (p.after_shard, p.after_xid, p.after_id), false)
     limit 10001)
    union all
    (select o.*
     from (
       (select o.shard, o.xid, o.id, o.counted, o.created_at
        from unnest(p.ended) x (xid) cross join lateral (
          select * from notify.outbox o
          where o.critical and o.id >= p.from_id and o.id <= any (array[p.last_id]) and o.xid = x.xid
          order by o.xid, o.id limit 10001) o)
       union all
       (select o.shard, o.xid, o.id, o.counted, o.created_at
        from notify.outbox o
        where o.critical and o.id >= p.from_id and o.id <= any (array[p.last_id]) and o.xid >= pg_snapshot_xmax(p.done)
        order by o.xid, o.id limit 10001)
     ) o
     where p.critical and not coalesce(pg_visible_in_snapshot(o.xid, p.target) and (o.xid, o.id) <= (p.after_xid, p.after_id), false)
     limit 10001)
  ) u
  where p.consumer <> 'counters' or u.counted
) e on true;
comment on view ops.lag is 'Per lane: committed events not read yet, and since when the oldest waits. A lane''s count ends at 10,001: so many or more, and the oldest of those looked at.';
comment on column ops.lag.events is 'Events not read yet; 10001: so many or more.';
