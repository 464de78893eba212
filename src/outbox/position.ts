import type pg from 'pg'

/** One lane of one consumer: an ordered stream of events, held by locking its row in notify.positions. */
export type Lane = { consumer: string; lane: number }

/** Where a lane stands; snapshots as PostgreSQL prints them, `xmin:xmax:xip,xip`. */
export type Position = Lane & {
  critical: boolean
  shardFrom: number
  shardTo: number
  /** Events below this id are none of this reader's concern. */
  fromId: string
  /** Everything visible in it has been read. */
  done: string
  /** The window being read, null between windows. */
  target: string | null
  /** The last event read inside the window. */
  after: { shard: number; xid: string; id: string } | null
  /** `done` holds open transactions or is a minute old: it moves on even when there was nothing to read. */
  stale: boolean
}

/**
 * Locks the lane's position until the end of the transaction; null when somebody else holds it.
 * The window must be taken in a later statement: this one's own snapshot may be older than the row version it locks,
 * and a window that ends before `done` would move the position backwards.
 */
export async function lockPosition(client: pg.ClientBase, lane: Lane): Promise<Position | null> {
  const { rows } = await client.query({
    name: 'lock_position',
    text: `select consumer, lane, critical, shard_from as "shardFrom", shard_to as "shardTo", from_id as "fromId", done::text, target::text,
             case when after_id is not null then json_build_object('shard', after_shard, 'xid', after_xid::text, 'id', after_id::text) end as after,
             moved_at < now() - interval '1 minute' or exists (select from pg_snapshot_xip(done)) as stale
           from notify.positions where consumer = $1 and lane = $2
           for update skip locked`,
    values: [lane.consumer, lane.lane],
  })
  return rows[0] ?? null
}

/** Moves a locked position: into the window, or past it (`after` null: the window has been read to its end). */
export async function movePosition(
  client: pg.ClientBase,
  lane: Lane,
  to: { target: string; after: Position['after'] },
): Promise<void> {
  await client.query({
    name: 'move_position',
    text: `update notify.positions
           set done = case when $4::int is null then $3::pg_snapshot else done end,
               target = case when $4::int is null then null else $3::pg_snapshot end,
               after_shard = $4::int, after_xid = $5::xid8, after_id = $6::bigint, moved_at = now()
           where consumer = $1 and lane = $2`,
    values: [lane.consumer, lane.lane, to.target, to.after?.shard ?? null, to.after?.xid ?? null, to.after?.id ?? null],
  })
}

/** The parts of a snapshot that index conditions are made of. */
export function parseSnapshot(snapshot: string): { xmax: string; open: string[] } {
  const [, xmax = '0', open = ''] = snapshot.split(':')
  return { xmax, open: open === '' ? [] : open.split(',') }
}
