import type pg from 'pg'
import { eventColumns, type OutboxEvent } from './event.ts'
import { heldLanes, type Lane, type Move } from './position.ts'

/** What was read of one lane. */
export type Window = Move & {
  events: OutboxEvent[]
  /** Whether the position has to move: past events, out of a window, or because it stood for long. */
  moves: boolean
}

type Row = { lane: number; target: string; waits: boolean; xid: string | null; shard: number } & OutboxEvent

/**
 * The next events of each lane held, at most `limit` of a lane, in the order (shard, xid, id): those visible in the window's
 * snapshot and not in `done`. That is PgQ's way of reading: nothing is lost to a late commit, nothing waits for a
 * transaction that is still open, and nothing is ever updated or deleted.
 * To be sent after the lock, not with it: the snapshot of a statement may be older than the row version that it locks, and a
 * window that ends before `done` would move the position backwards.
 */
export async function readNext(client: pg.ClientBase, consumer: string, limit: number): Promise<Window[]> {
  const counters = consumer === 'counters'
  const { rows } = await client.query<Row>({
    name: counters ? 'read_counted' : 'read_lanes',
    text: readHeld(counters ? 'and o.counted' : ''),
    values: [consumer, limit],
  })
  return [...Map.groupBy(rows, (row) => row.lane).values()].flatMap((ofLane) => windowOf(ofLane, limit))
}

function windowOf(rows: Row[], limit: number): Window[] {
  const [first] = rows
  if (!first) return []
  const { lane, target, waits } = first
  const events = rows.filter((row) => row.xid !== null)
  const last = events.at(-1)
  const after =
    last && events.length === limit ? { shard: last.shard, xid: String(last.xid), id: String(last.id) } : null
  return [{ lane, target, after, events, moves: events.length > 0 || waits }]
}

/**
 * Two branches per shard, each an index range in reading order: transactions that were open when `done` was taken, and
 * those that came after it. Ids bound the partitions that are looked at. Per shard, because a range of shards in front of the index would read the log's whole past.
 * Behind sub-selects the planner cannot see the values, so it plans once: planning costs more than reading a few events.
 * A position that holds open transactions moves on after a second, any other after a minute, although nothing was read.
 */
function readHeld(which: string): string {
  const branch = (xids: string) => `
      (select o.* from notify.outbox o
       where o.shard = s.shard and not o.critical and o.id between p.from_id and p.last_id ${which} and ${xids}
         and (o.xid, o.id) > (case when s.shard = p.after_shard then p.after_xid else '0'::xid8 end, case when s.shard = p.after_shard then p.after_id else 0 end)
         and pg_visible_in_snapshot(o.xid, p.upto)
       order by o.xid, o.id limit (select $2::int))`
  return `
  with p as materialized (
    select *, array(select pg_snapshot_xip(done)) as open, coalesce(target, pg_current_snapshot()) as upto,
      (select last_value from notify.outbox_id_seq) as last_id
    from notify.positions where consumer = (select $1::text) and lane = any(${heldLanes}))
  select p.lane, p.upto::text as target, p.target is not null or ${isStale} as waits, o.xid::text as xid, o.shard, ${eventColumns}
  from p
  left join lateral (
    (select o.* from generate_series(greatest(p.after_shard, p.shard_from)::int, p.shard_to::int) s (shard)
     cross join lateral (
       select o.* from (
         ${branch('o.xid = any(p.open)')}
         union all
         ${branch(`o.xid >= pg_snapshot_xmax(p.done) and o.xid < pg_snapshot_xmax(p.upto)`)}
       ) o order by o.xid, o.id limit (select $2::int)
     ) o
     where not p.critical
     limit (select $2::int))
    union all
    (select o.* from notify.outbox o
     where p.critical and o.critical and o.id between p.from_id and p.last_id and (o.xid >= pg_snapshot_xmax(p.done) or o.xid = any(p.open))
       and (p.after_id is null or (o.xid, o.id) > (p.after_xid, p.after_id)) and pg_visible_in_snapshot(o.xid, p.upto)
     order by o.xid, o.id limit (select $2::int))
  ) o on true`
}

const isStale = `p.moved_at < now() - case when cardinality(p.open) > 0 then interval '1 second' else interval '1 minute' end`

/**
 * The lanes that have something to read: a window under way, a committed event that is not in `done`, or a `done` that
 * holds open transactions or is a minute old and should move on. One cheap query of index probes.
 */
export async function lanesWithWork(pool: pg.Pool): Promise<Lane[]> {
  const { rows } = await pool.query<Lane>({ name: 'lanes_with_work', text: findWork })
  return rows
}

const unread = `(o.xid >= pg_snapshot_xmax(p.done) or o.xid = any(p.open))`
const findWork = `
  select p.consumer, p.lane
  from (select *, array(select pg_snapshot_xip(done)) as open from notify.positions) p
  where p.target is not null
     or ${isStale}
     or case when p.critical then exists (
          select from notify.outbox o where o.critical and o.id >= p.from_id and ${unread})
        else exists (
          select from generate_series(p.shard_from::int, p.shard_to::int) s (shard)
          cross join lateral (
            (select o.id from notify.outbox o where o.shard = s.shard and not o.critical and o.id >= p.from_id
               and (p.consumer <> 'counters' or o.counted) and o.xid >= pg_snapshot_xmax(p.done) order by o.xid limit 1)
            union all
            (select o.id from notify.outbox o where o.shard = s.shard and not o.critical and o.id >= p.from_id
               and (p.consumer <> 'counters' or o.counted) and o.xid = any(p.open) limit 1)
          ) o)
        end`
