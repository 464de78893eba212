-- Replay reads again what lies in partitions that its lanes have passed; what lies before an adoption it cannot read.

alter table notify.positions add column adopted_id bigint not null default 0;
comment on column notify.positions.adopted_id is 'First id since the database was last adopted: the transaction ids below are another cluster''s, and replay never goes there.';
-- Whether what is below was passed or adopted is not known any more.
update notify.positions set adopted_id = from_id;

create or replace function notify.replay(consumer text, since timestamptz) returns bigint
  language plpgsql
as $$
#variable_conflict use_column
declare
  boundary bigint;
  first numeric;
  first_id bigint;
  lane record;
  cut numeric;
  open numeric[];
  again bigint;
begin
  if replay.consumer = 'counters' then
    perform notify.refuse('counters is never replayed: it would count twice');
  elsif not exists (select from notify.positions p where p.consumer = replay.consumer) then
    perform notify.refuse(format('there is no consumer named %s', replay.consumer));
  elsif since is null or since < now() - interval '7 days' then
    perform notify.refuse('replay reaches back 7 days: what came before may be forgotten, and would notify twice');
  end if;
  select min(p.adopted_id) into boundary from notify.positions p where p.consumer = replay.consumer;
  select e.xid::text::numeric into first
  from notify.outbox e
  where e.created_at >= since and e.id >= boundary
  order by e.xid limit 1;
  if first is null then
    return 0;
  end if;
  -- A later transaction may have drawn a lower id than the first.
  select min(e.id) into first_id from notify.outbox e where e.xid >= first::text::xid8 and e.id >= boundary;
  -- Back to before the first transaction that is to be read again; what was unread below it stays so.
  for lane in select * from notify.positions p where p.consumer = replay.consumer order by p.lane for update loop
    cut := least(first, pg_snapshot_xmax(lane.done)::text::numeric);
    open := array(select x::text::numeric from pg_snapshot_xip(lane.done) x where x::text::numeric < cut order by 1);
    update notify.positions p
    set done = format('%s:%s:%s', coalesce(open[1], cut), cut, array_to_string(open, ','))::pg_snapshot,
        from_id = least(lane.from_id, greatest(lane.adopted_id, first_id)),
        target = null, after_shard = null, after_xid = null, after_id = null
    where p.consumer = lane.consumer and p.lane = lane.lane;
  end loop;
  select count(*) into again
  from notify.outbox e
  where exists (
    select from notify.positions p
    where p.consumer = replay.consumer and p.critical = e.critical and e.shard between p.shard_from and p.shard_to
      and e.id >= p.from_id and not pg_visible_in_snapshot(e.xid, p.done));
  return again;
end $$;
