import type pg from 'pg'
import { eventColumns, type OutboxEvent } from './event.ts'
import { type Lane, type Position, parseSnapshot } from './position.ts'

export type Window = {
  events: OutboxEvent[]
  /** The snapshot this window ends at. */
  target: string
  /** The last event read, when the window may hold more; null when it has been read to its end. */
  after: Position['after']
}

/**
 * The next events of a locked lane, at most `limit`, in the order (shard, xid, id): those visible in the window's
 * snapshot and not in `done`. That is PgQ's way of reading: nothing is lost to a late commit, nothing waits for a
 * transaction that is still open, and nothing is ever updated or deleted.
 */
export async function readNext(client: pg.ClientBase, position: Position, limit: number): Promise<Window> {
  const done = parseSnapshot(position.done)
  const { rows } = await client.query<{ target: string; xid: string | null; shard: number } & OutboxEvent>({
    name: position.critical ? 'read_critical' : position.consumer === 'counters' ? 'read_counted' : 'read_lane',
    text: position.critical ? readCritical : readShards(position.consumer === 'counters' ? 'and o.counted' : ''),
    values: [
      position.target,
      done.xmax,
      done.open,
      position.fromId,
      position.after?.shard ?? null,
      position.after?.xid ?? null,
      position.after?.id ?? null,
      limit,
      ...(position.critical ? [] : [position.shardFrom, position.shardTo]),
    ],
  })
  const target = rows[0]?.target
  if (target === undefined) throw new Error('reading the log gave no snapshot')
  const events = rows.filter((row) => row.xid !== null)
  const last = events.at(-1)
  const after =
    last && events.length === limit ? { shard: last.shard, xid: String(last.xid), id: String(last.id) } : null
  return { events, target, after }
}

/**
 * Two branches per shard, each an index range in reading order: transactions that were open when `done` was taken, and
 * those that came after it. Per shard, because a range of shards in front of the index would read the log's whole past.
 */
function readShards(which: string): string {
  const branch = (xids: string) => `
      (select o.* from notify.outbox o
       where o.shard = s.shard and not o.critical and o.id >= $4::bigint ${which} and ${xids}
         and (o.xid, o.id) > (case when s.shard = $5::int then $6::xid8 else '0'::xid8 end, case when s.shard = $5::int then $7::bigint else 0 end)
         and pg_visible_in_snapshot(o.xid, w.target)
       order by o.xid, o.id limit $8::int)`
  return `
  with w as materialized (select coalesce($1::pg_snapshot, pg_current_snapshot()) as target)
  select w.target::text as target, o.xid::text as xid, o.shard, ${eventColumns}
  from w
  left join lateral (
    select o.* from generate_series(greatest($5::int, $9::int), $10::int) s (shard)
    cross join lateral (
      select o.* from (
        ${branch('o.xid = any($3::xid8[])')}
        union all
        ${branch(`o.xid >= $2::xid8 and o.xid < pg_snapshot_xmax(w.target)`)}
      ) o order by o.xid, o.id limit $8::int
    ) o
    limit $8::int
  ) o on true`
}

const readCritical = `
  with w as materialized (select coalesce($1::pg_snapshot, pg_current_snapshot()) as target)
  select w.target::text as target, o.xid::text as xid, o.shard, ${eventColumns}
  from w
  left join lateral (
    select o.* from notify.outbox o
    where o.critical and o.id >= $4::bigint and (o.xid >= $2::xid8 or o.xid = any($3::xid8[]))
      and ($5::int is null or (o.xid, o.id) > ($6::xid8, $7::bigint)) and pg_visible_in_snapshot(o.xid, w.target)
    order by o.xid, o.id limit $8::int
  ) o on true`

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
     or p.moved_at < now() - case when cardinality(p.open) > 0 then interval '1 second' else interval '1 minute' end
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
