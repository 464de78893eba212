import type pg from 'pg'
import type { Logger } from 'pino'
import { dropPartitions, maintainAlone, makePartition, withLockTimeout } from '../../db/partitions.ts'

/**
 * Number of partitions ahead of the drawn ids. At 60,000 events a second and the minimum width they last two minutes.
 */
const PARTITIONS_AHEAD = 3
/** A partition holds at least this many ids, and otherwise a tenth of the retained ids, so that about ten exist. */
const MIN_WIDTH = 2_000_000
const PARTITIONS_KEPT = 10

const outbox = { table: 'outbox', list: 'outbox_partitions' } as const

/**
 * Maintains the outbox's partitions: makes some ahead, notes which are full, lets readers forget those they have
 * passed, and drops those that every reader has passed and retention does not keep. Idempotent and safe in any process.
 */
export function maintainPartitions(pool: pg.Pool, log: Logger, retentionDays: number): Promise<void> {
  return maintainAlone(pool, log, 'outbox partitions', (client) =>
    withLockTimeout(client, async () => {
      await endOldPartition(client, retentionDays)
      await makeAhead(client, retentionDays)
      await noteFilled(client)
      await passPartitions(client)
      await dropPassed(client, log, retentionDays)
    }),
  )
}

/** SQL: true when ids are drawn from the last partition. */
export const needsPartition = `not exists (
  select from notify.outbox_partitions p where p.from_id > (select s.last_value from notify.outbox_id_seq s))`

/** For each api that finds `needsPartition`: without a worker for millions of ids, writes would find no partition. */
export async function makePartitionsInTime(pool: pg.Pool, log: Logger, retentionDays: number): Promise<void> {
  log.warn('the last partition of the log is in use; creating more. Is a worker running?')
  await maintainAlone(pool, log, 'outbox partitions', (client) => makeAhead(client, retentionDays))
}

async function makeAhead(client: pg.ClientBase, retentionDays: number): Promise<void> {
  while (true) {
    const { rows } = await client.query<{ ahead: number; next: string; width: string }>(
      `select count(*) filter (where p.from_id > s.last_value)::int as ahead, max(p.to_id) as next,
         greatest($1::bigint, coalesce((
           select (s.last_value - min(k.from_id)) * $2 / $3 / greatest(extract(epoch from now() - min(k.filled_at)) / 86400, 1)
           from notify.outbox_partitions k where k.filled_at is not null), 0)::bigint) as width
       from notify.outbox_partitions p, notify.outbox_id_seq s group by s.last_value`,
      [MIN_WIDTH, retentionDays, PARTITIONS_KEPT],
    )
    const [row] = rows
    if (!row || row.ahead >= PARTITIONS_AHEAD) return
    const from = row.next
    const to = String(BigInt(row.next) + BigInt(row.width))
    await makePartition(client, outbox, [`outbox_${from}`, from, to])
  }
}

/** Maximum number of ids that one call discards. That takes some tenths of a second. */
const MOST_DRAWN = 500_000

/**
 * Ends the current partition when its first event is older than a tenth of the retention period. With few events it
 * would take years to fill, and keep them as long. Draws and discards the remaining ids, because only that moves a
 * sequence forward safely while others draw.
 */
async function endOldPartition(client: pg.ClientBase, retentionDays: number): Promise<void> {
  await client.query(
    `select count(nextval('notify.outbox_id_seq'))
     from notify.outbox_id_seq s
     join notify.outbox_partitions p on s.last_value >= p.from_id and s.last_value < p.to_id
     cross join lateral (
       select o.created_at from notify.outbox o where o.id >= p.from_id and o.id < p.to_id order by o.id limit 1
     ) first
     cross join lateral generate_series(1, least(p.to_id - s.last_value, $3::bigint))
     where first.created_at < now() - make_interval(days => $1) / $2::int`,
    [retentionDays, PARTITIONS_KEPT, MOST_DRAWN],
  )
}

/**
 * Notes a transaction id above those of all writers of a full partition. It belongs to this transaction and is assigned
 * after the partition's last id was drawn. Every writer had its transaction id before it drew (columns of
 * notify.outbox).
 */
async function noteFilled(client: pg.ClientBase): Promise<void> {
  await client.query(
    `update notify.outbox_partitions set filled_at = now(), filled_before = pg_current_xact_id()
     where filled_at is null and to_id <= (select last_value from notify.outbox_id_seq)`,
  )
}

/**
 * A reader has read the whole partition when its done snapshot has no open transaction below `filled_before`. Checked
 * again on the locked row, because a replay may just have moved it back.
 */
async function passPartitions(client: pg.ClientBase): Promise<void> {
  await client.query(
    `update notify.positions o set from_id = p.to_id
     from (select o.consumer, o.lane, max(p.to_id) as to_id, max(p.filled_before) as filled_before from notify.positions o
           join notify.outbox_partitions p on p.filled_before < pg_snapshot_xmin(o.done) group by 1, 2) p
     where o.consumer = p.consumer and o.lane = p.lane and o.from_id < p.to_id and p.filled_before < pg_snapshot_xmin(o.done)`,
  )
}

async function dropPassed(client: pg.ClientBase, log: Logger, retentionDays: number): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    `select name from notify.outbox_partitions p
     where p.filled_at < now() - make_interval(days => $1)
       and not exists (select from notify.positions o where pg_snapshot_xmin(o.done) <= p.filled_before)
     order by from_id`,
    [retentionDays],
  )
  await dropPartitions(
    client,
    log,
    outbox,
    rows.map(({ name }) => name),
  )
}
