import type pg from 'pg'
import { sqlBackoff } from '../../base/failure.ts'
import { columns } from '../../db/columns.ts'

/** One lane of one consumer: an ordered stream of events. Only the transaction that locks its row in notify.positions reads it. */
export type Lane = { consumer: string; lane: number }

/** The lane of the installation's critical events. */
export const CRITICAL_LANE = 99

/** One lane of a consumer, or all with exceptions. */
export type Lanes = Lane | { consumer: string; allBut: number[] }

/** The new position of a lane: within the slice (`after` is the last event read), or past it (`after` is null). */
export type Move = {
  lane: number
  /** The snapshot at the end of the slice, as PostgreSQL prints it: `xmin:xmax:xip,xip`. */
  target: string
  after: { shard: number; xid: string; id: string } | null
}

/**
 * Hands the locked lanes from `lockPositions` to the statement behind it. So both are sent in one round trip, and the
 * second one still takes its snapshot after the lock. The setting ends with the transaction.
 */
const handedLanes = {
  set: (lanes: string) => `set_config('ravenpost.lanes', coalesce(string_agg(${lanes}::text, ','), ''), true)`,
  get: `string_to_array(current_setting('ravenpost.lanes'), ',')::smallint[]`,
}

/** The lanes that this transaction has locked. Use it in a statement sent after `lockPositions`. */
export const lockedLanes = handedLanes.get

/**
 * Locks those of these positions that are free, until the end of the transaction, and hands them to `lockedLanes`. Skips
 * a paused lane, and a failed one until its retry time.
 */
export async function lockPositions(client: pg.ClientBase, lanes: Lanes): Promise<void> {
  const one = 'lane' in lanes
  await client.query({
    name: one ? 'lock_position' : 'lock_free_positions',
    text: `with locked as (select lane from notify.positions where consumer = $1 and ${one ? 'lane = $2' : 'lane <> all($2::smallint[])'} and ${mayBeRead} for update skip locked)
           select ${handedLanes.set('lane')} from locked`,
    values: [lanes.consumer, one ? lanes.lane : lanes.allBut],
  })
}

/** A condition on notify.positions: the lane is not paused, and its retry time has come. */
export const mayBeRead = 'paused_at is null and coalesce(retry_at <= now(), true)'

/** Moves locked positions. `recovered`: true if failed lanes have passed the problem. */
export async function movePositions(
  client: pg.ClientBase,
  consumer: string,
  moves: Move[],
  recovered: boolean,
): Promise<void> {
  if (moves.length === 0) return
  await client.query({
    name: 'move_positions',
    text: `update notify.positions p
           set done = case when w.id is null then w.target::pg_snapshot else p.done end,
               target = case when w.id is null then null else w.target::pg_snapshot end,
               after_shard = w.shard, after_xid = w.xid::xid8, after_id = w.id, moved_at = now(),
               failures = case when $7 then 0 else p.failures end, retry_at = case when not $7 then p.retry_at end,
               failing_since = case when not $7 then p.failing_since end, last_error = case when not $7 then p.last_error end
           from ${moved.from}
           where p.consumer = $1 and p.lane = w.lane`,
    values: [consumer, ...moved.values(moves), recovered],
  })
}

const moved = columns<Move>(
  {
    lane: ['smallint', (move) => move.lane],
    target: ['text', (move) => move.target],
    shard: ['smallint', (move) => move.after?.shard ?? null],
    xid: ['text', (move) => move.after?.xid ?? null],
    id: ['bigint', (move) => move.after?.id ?? null],
  },
  { first: 2 },
)

/**
 * Records that a run of a lane failed. The first two failures allow an immediate retry, which fixes a deadlock or a
 * lost connection. Further ones delay it by a second, and by up to half a minute.
 */
export async function noteLaneFailure(pool: pg.Pool, { consumer, lane }: Lane, reason: string): Promise<void> {
  await pool.query(
    `update notify.positions p
     set failures = failures + 1, failing_since = coalesce(failing_since, now()), last_error = left($3, 1000),
       retry_at = case when failures >= 2 then now() + make_interval(secs => ${sqlBackoff({ first: 1, longest: 30 }, 'failures - 2')}) end
     where consumer = $1 and lane = (select lane from notify.positions where consumer = $1 and lane = $2 for update skip locked)`,
    [consumer, lane, reason],
  )
}
