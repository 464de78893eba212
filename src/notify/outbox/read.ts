import type pg from 'pg'
import { eventColumns, type OutboxEvent } from './event.ts'
import { heldLanes, type Lane, type Move, mayBeRead } from './position.ts'

/** What was read of one lane. */
export type Window = Move & {
  events: OutboxEvent[]
  /** Whether the position has to move: past events, out of a window, or because it stood for long. */
  moves: boolean
  /** Whether the lane failed when it was last run. */
  failing: boolean
}

type Row = {
  lane: number
  target: string
  waits: boolean
  failing: boolean
  xid: string | null
  shard: number
} & OutboxEvent

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
  const { lane, target, waits, failing } = first
  const events = rows.filter((row) => row.xid !== null)
  const last = events.at(-1)
  const after =
    last && events.length === limit ? { shard: last.shard, xid: String(last.xid), id: String(last.id) } : null
  return [{ lane, target, after, events, moves: events.length > 0 || waits, failing }]
}

/**
 * Ids bound the partitions that are looked at. Behind sub-selects the planner cannot see the values, so it plans once: planning
 * costs more than reading a few events.
 */
function readHeld(which: string): string {
  const ofShard = unread(`o.shard = s.shard and not o.critical ${which}`, 's.shard = p.after_shard')
  const critical = unread('o.critical', 'p.after_id is not null')
  return `
  with p as materialized (
    select *, array(select x from pg_snapshot_xip(done) x where pg_visible_in_snapshot(x, upto) order by x) as ended
    from (select *, coalesce(target, pg_current_snapshot()) as upto, (select last_value from notify.outbox_id_seq) as last_id
          from notify.positions where consumer = (select $1::text) and lane = any(${heldLanes})) p)
  select p.lane, p.upto::text as target, p.target is not null or ${isStale} as waits, p.failures > 0 as failing, o.xid::text as xid, o.shard, ${eventColumns}
  from p
  left join lateral (
    (select o.* from generate_series(greatest(p.after_shard, p.shard_from)::int, p.shard_to::int) s (shard)
     cross join lateral (${ofShard}) o where not p.critical limit (select $2::int))
    union all
    (select o.* from (${critical}) o where p.critical)
  ) o on true`
}

/**
 * What is unread of the rows at `place` (a shard, or all that is critical), in the order (xid, id). Two index ranges, and neither
 * begins before the window, or it would read the whole past of the partition: the transactions that were open when `done`
 * was taken and have ended since, one by one in their order, and those that came after it. `isHere`: the window's last event read lies at this place.
 */
function unread(place: string, isHere: string): string {
  const xmax = 'pg_snapshot_xmax(p.done)'
  const isAfterDone = `${isHere} and p.after_xid >= ${xmax}`
  const rows = (range: string) => `
    select o.* from notify.outbox o where ${place} and o.id >= p.from_id and o.id <= any (array[p.last_id]) and ${range}
    order by o.xid, o.id limit (select $2::int)`
  const ended = rows(`o.xid = x.xid and o.id > case when ${isHere} and x.xid = p.after_xid then p.after_id else 0 end`)
  // A row comparison alone: beside another condition on xid, the descent into the index may begin at that one.
  const later = rows(`
    (o.xid, o.id) > (case when ${isAfterDone} then p.after_xid else ${xmax} end, case when ${isAfterDone} then p.after_id else -1 end)
    and o.xid < pg_snapshot_xmax(p.upto) and pg_visible_in_snapshot(o.xid, p.upto)`)
  return `
    select o.* from (
      (select o.* from unnest(p.ended) x (xid) cross join lateral (${ended}) o
       where x.xid >= case when ${isHere} then p.after_xid else '0' end limit (select $2::int))
      union all
      (${later})
    ) o order by o.xid, o.id limit (select $2::int)`
}

/**
 * A position that holds open transactions moves on after a second, any other after a minute, although nothing was read: what
 * lies behind it is looked through each time. So does that of the counters, behind which lies what is not counted.
 */
const isStale = `p.moved_at < now() - case
    when pg_snapshot_xmin(p.done) < pg_snapshot_xmax(p.done) then interval '1 second'
    when p.consumer = 'counters' and pg_snapshot_xmax(pg_current_snapshot())::text::bigint - pg_snapshot_xmax(p.done)::text::bigint > 100
      then interval '1 second'
    else interval '1 minute' end`

/** `failures`: failed runs since it last moved on. */
export type LaneWithWork = Lane & { failures: number }

/**
 * The lanes that have something to read: a window under way, a committed event that is not in `done`, or a `done` that
 * holds open transactions or is a minute old and should move on. One cheap query of index probes.
 */
export async function lanesWithWork(pool: pg.Pool): Promise<LaneWithWork[]> {
  const { rows } = await pool.query<LaneWithWork>({ name: 'lanes_with_work', text: findWork })
  return rows
}

/** Whether something is unread at a place: the same two ranges as `unread`, for whatever is committed by now. */
function hasUnread(place: string): string {
  const first = (range: string) => `
    select o.id from notify.outbox o
    where ${place} and o.id >= p.from_id and o.id <= any (array[p.last_id]) and (p.consumer <> 'counters' or o.counted) and ${range}
    order by o.xid, o.id limit 1`
  return `
    (select o.id from unnest(p.ended) x (xid) cross join lateral (${first('o.xid = x.xid')}) o)
    union all
    (${first('o.xid >= pg_snapshot_xmax(p.done)')})`
}

const findWork = `
  select p.consumer, p.lane, p.failures
  from (select *, array(select x from pg_snapshot_xip(done) x where pg_visible_in_snapshot(x, pg_current_snapshot())) as ended,
          (select last_value from notify.outbox_id_seq) as last_id
        from notify.positions) p
  where ${mayBeRead} and (p.target is not null
     or ${isStale}
     or case when p.critical then exists (${hasUnread('o.critical')})
        else exists (
          select from generate_series(p.shard_from::int, p.shard_to::int) s (shard)
          cross join lateral (${hasUnread('o.shard = s.shard and not o.critical')}) o)
        end)`
