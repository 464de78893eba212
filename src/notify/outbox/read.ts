import type pg from 'pg'
import { type Sent, together } from '../../db/transaction.ts'
import { eventColumns, type OutboxEvent } from './event.ts'
import { type Lane, type Lanes, lockedLanes, lockPositions, type Move, mayBeRead } from './position.ts'

/** Result of reading one lane. */
export type Slice = Move & {
  events: OutboxEvent[]
  /** True if the position must move: beyond events, out of a slice, or because it has not moved for long. */
  moves: boolean
  /** True if the last run of the lane failed. */
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

/** Locks the free lanes among these and reads their next events, in one round trip. */
export async function lockAndRead(client: pg.ClientBase, lanes: Lanes, limit: number): Promise<Slice[]> {
  const locked: Sent<void> = lockPositions(client, lanes)
  const slices: Sent<Slice[]> = readNext(client, lanes.consumer, limit)
  await together([locked, slices])
  return slices
}

/**
 * Reads up to `limit` next events of each lane that this transaction has locked: those visible in the slice's snapshot and not
 * in `done`. So no late commit is lost (PgQ's method). A separate statement, so that its snapshot is taken after the lock.
 */
async function readNext(client: pg.ClientBase, consumer: string, limit: number): Promise<Slice[]> {
  const counters = consumer === 'counters'
  const { rows } = await client.query<Row>({
    name: counters ? 'read_counted' : 'read_lanes',
    text: readLocked(counters ? 'and o.counted' : ''),
    values: [consumer, limit],
  })
  return [...Map.groupBy(rows, (row) => row.lane).values()].flatMap((ofLane) => sliceOf(ofLane, limit))
}

function sliceOf(rows: Row[], limit: number): Slice[] {
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
 * Ids limit the partitions to read. The values are in sub-selects, hidden from the planner, so it plans only once:
 * planning costs more than reading a few events.
 */
function readLocked(which: string): string {
  const ofShard = unread(`o.shard = s.shard and not o.critical ${which}`, 's.shard = p.after_shard')
  const critical = unread('o.critical', 'p.after_id is not null')
  return `
  with p as materialized (
    select *, array(select x from pg_snapshot_xip(done) x where pg_visible_in_snapshot(x, upto) order by x) as ended
    from (select *, coalesce(target, pg_current_snapshot()) as upto, (select last_value from notify.outbox_id_seq) as last_id
          from notify.positions where consumer = (select $1::text) and lane = any(${lockedLanes})) p)
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
 * SQL for the unread events at `place` (a shard, or all critical ones), in the order (xid, id). Reads two index ranges:
 * transactions that were open when `done` was taken and have ended since, one by one, and later transactions. Neither
 * begins before the slice, because that would read the whole past. `isHere`: the last read event of the slice is at
 * this place.
 */
function unread(place: string, isHere: string): string {
  const xmax = 'pg_snapshot_xmax(p.done)'
  const isAfterDone = `${isHere} and p.after_xid >= ${xmax}`
  const rows = (range: string) => `
    select o.* from notify.outbox o where ${place} and o.id >= p.from_id and o.id <= any (array[p.last_id]) and ${range}
    order by o.xid, o.id limit (select $2::int)`
  const ended = rows(`o.xid = x.xid and o.id > case when ${isHere} and x.xid = p.after_xid then p.after_id else 0 end`)
  // Use only the row comparison as lower bound. With a second condition such as `xid >= …`, PostgreSQL may start the index scan
  // at that bound and read again what the slice has already consumed.
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
 * A position with open transactions moves after a second without events, any other after a minute, because each read
 * scans everything behind it. So does the position of the counters, behind which uncounted events lie.
 */
const isStale = `p.moved_at < now() - case
    when pg_snapshot_xmin(p.done) < pg_snapshot_xmax(p.done) then interval '1 second'
    when p.consumer = 'counters' and pg_snapshot_xmax(pg_current_snapshot())::text::bigint - pg_snapshot_xmax(p.done)::text::bigint > 100
      then interval '1 second'
    else interval '1 minute' end`

/** A lane with something to read. `failures`: number of failed runs since its last progress. */
export type LaneWithWork = Lane & { failures: number }

/**
 * The lanes with something to read: an unfinished slice, a committed event that is not in `done`, or a `done` that
 * should move because it holds open transactions or is a minute old. One cheap query of index probes.
 */
export async function lanesWithWork(pool: pg.Pool): Promise<LaneWithWork[]> {
  const { rows } = await pool.query<LaneWithWork>({ name: 'lanes_with_work', text: findLanesWithWork })
  return rows
}

/** True if a place has unread events: the same two ranges as `unread`, for everything committed by now. */
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

/** SQL of `lanesWithWork`, for the poll. */
export const findLanesWithWork = `
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
