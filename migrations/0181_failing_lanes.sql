-- A lane that fails waits longer each time, and says since when and why. ops.lag reads index ranges that begin where its reader has
-- come to, and no further than a bound: every scrape asks it.

alter table notify.positions
  add column failures integer not null default 0,
  add column failing_since timestamptz,
  add column retry_at timestamptz,
  add column last_error text;
comment on column notify.positions.failures is 'Failed runs since the lane last moved on.';
comment on column notify.positions.failing_since is 'When the first of them failed; null while the lane moves on.';
comment on column notify.positions.retry_at is 'Nobody reads the lane before.';
comment on column notify.positions.last_error is 'Why the last run failed.';

create or replace view ops.lag as
select p.consumer, p.lane, p.critical, coalesce(e.events, 0) as events, e.oldest_at, now() - e.oldest_at as age, p.moved_at,
       pg_snapshot_xmin(p.done) as done_xmin, p.failing_since, p.last_error
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
comment on column ops.lag.failing_since is 'Since when the lane has failed; null while it moves on.';
comment on column ops.lag.last_error is 'Why its last run failed.';

create function notify.skip_event(consumer text, event_id bigint) returns text
  language plpgsql
as $$
#variable_conflict use_column
declare
  skipped notify.outbox;
begin
  update notify.pending w set dead_at = now(), last_error = 'skipped by hand; before: ' || coalesce(w.last_error, '')
  where w.consumer = skip_event.consumer and w.event_id = skip_event.event_id and w.dead_at is null;
  if found then
    return 'dead letter';
  end if;
  select e.* into skipped
  from notify.outbox e
  join notify.positions p on p.consumer = skip_event.consumer and p.critical = e.critical and e.shard between p.shard_from and p.shard_to
    and e.id >= p.from_id and (p.consumer <> 'counters' or e.counted)
  where e.id = skip_event.event_id and p.failing_since is not null and not pg_visible_in_snapshot(e.xid, p.done)
    and not coalesce(pg_visible_in_snapshot(e.xid, p.target) and case when p.critical then (e.xid, e.id) <= (p.after_xid, p.after_id)
                     else (e.shard, e.xid, e.id) <= (p.after_shard, p.after_xid, p.after_id) end, false)
  for update of p;
  if skipped.id is null then
    perform notify.refuse('this event is neither pending nor unread in a lane that fails');
  end if;
  insert into notify.pending (consumer, event_id, recipient_id, event, dead_at, last_error)
  values (skip_event.consumer, skipped.id, skipped.recipient_id, jsonb_build_object(
    'id', skipped.id, 'action', skipped.action, 'retracts', skipped.retracts, 'counted', skipped.counted, 'sourceId', skipped.source_id,
    'type', skipped.type, 'recipientId', skipped.recipient_id::text, 'actorId', skipped.actor_id::text, 'objectType', skipped.object_type,
    'objectId', skipped.object_id, 'threadKey', skipped.thread_key, 'groupKey', skipped.group_key, 'data', skipped.data,
    'requestId', skipped.request_id), now(), 'skipped by hand')
  on conflict on constraint pending_once do nothing;
  update notify.positions p set retry_at = null
  where p.consumer = skip_event.consumer and p.critical = skipped.critical and skipped.shard between p.shard_from and p.shard_to;
  return 'skipped';
end $$;
comment on function notify.skip_event(text, bigint) is 'Makes a dead letter of an event that is pending, or that a failing lane has not got past: the lane goes on without it. notify.replay_dead_letter tries it again. Refused (22023) for any other event.';
