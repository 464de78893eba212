import type pg from 'pg'
import type { Logger } from 'pino'

/** Partitions made ahead of the ids drawn; at 60,000 events a second and the least width they last two minutes. */
const PARTITIONS_AHEAD = 3
/** A partition holds at least this many ids, and otherwise a tenth of what retention keeps, so that about ten exist. */
const MIN_WIDTH = 2_000_000
const PARTITIONS_KEPT = 10

/** How long a statement on the log's parent may wait for its lock, and everybody else behind it, before it gives up. */
const LOCK_TIMEOUT = '500ms'

type Partition = { name: string; fromId: string; toId: string; filledBefore: string | null }

/**
 * Keeps the outbox's partitions: makes some ahead, notes which are full, lets readers forget those they have passed, and
 * drops those that every reader has passed and retention does not keep. Does nothing it did before; safe in any process.
 */
export async function maintainPartitions(pool: pg.Pool, log: Logger, retentionDays: number): Promise<void> {
  const client = await pool.connect()
  try {
    const { rows } = await client.query('select pg_try_advisory_lock(hashtext($1)) as mine', [
      'ravenpost outbox partitions',
    ])
    if (!rows[0]?.mine) return
    try {
      await client.query(`set lock_timeout = '${LOCK_TIMEOUT}'`)
      await makeAhead(client, retentionDays)
      await noteFilled(client)
      await passPartitions(client)
      await dropPassed(client, log, retentionDays)
    } finally {
      await client.query('reset lock_timeout')
      await client.query('select pg_advisory_unlock(hashtext($1))', ['ravenpost outbox partitions'])
    }
  } finally {
    client.release()
  }
}

/** Made as a plain table first and then attached: attaching takes a lock that inserts do not wait for. */
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
    const name = `outbox_${from}`
    await client.query(`create table if not exists notify.${name} (like notify.outbox including all)`)
    await client.query('begin')
    try {
      await client.query(
        `alter table notify.outbox attach partition notify.${name} for values from (${from}) to (${to})`,
      )
      await client.query('insert into notify.outbox_partitions (name, from_id, to_id) values ($1, $2, $3)', [
        name,
        from,
        to,
      ])
      await client.query('commit')
    } catch (error) {
      await client.query('rollback')
      throw error
    }
  }
}

/**
 * Notes a transaction id above those of all writers of a full partition: this transaction's own, taken after the last of
 * the partition's ids was drawn; every writer had its transaction id before it drew (columns of notify.outbox).
 */
async function noteFilled(client: pg.ClientBase): Promise<void> {
  await client.query(
    `update notify.outbox_partitions set filled_at = now(), filled_before = pg_current_xact_id()
     where filled_at is null and to_id <= (select last_value from notify.outbox_id_seq)`,
  )
}

/** A reader whose done snapshot has no open transaction below `filled_before` has read the partition whole. */
async function passPartitions(client: pg.ClientBase): Promise<void> {
  await client.query(
    `update notify.positions o set from_id = p.to_id
     from (select o.consumer, o.lane, max(p.to_id) as to_id from notify.positions o
           join notify.outbox_partitions p on p.filled_before < pg_snapshot_xmin(o.done) group by 1, 2) p
     where o.consumer = p.consumer and o.lane = p.lane and o.from_id < p.to_id`,
  )
}

async function dropPassed(client: pg.ClientBase, log: Logger, retentionDays: number): Promise<void> {
  const { rows } = await client.query<Partition>(
    `select name, from_id as "fromId", to_id as "toId", filled_before::text as "filledBefore" from notify.outbox_partitions p
     where p.filled_at < now() - make_interval(days => $1)
       and not exists (select from notify.positions o where pg_snapshot_xmin(o.done) <= p.filled_before)
     order by from_id`,
    [retentionDays],
  )
  for (const { name } of rows) {
    const { rows: attached } = await client.query(
      `select inhdetachpending as pending from pg_inherits where inhrelid = to_regclass($1)`,
      [`notify.${name}`],
    )
    if (attached[0]) {
      const how = attached[0].pending ? 'finalize' : 'concurrently'
      await client.query(`alter table notify.outbox detach partition notify.${name} ${how}`)
    }
    await client.query(`drop table if exists notify.${name}`)
    await client.query('delete from notify.outbox_partitions where name = $1', [name])
    log.info({ partition: name }, 'dropped a partition of the outbox after its retention')
  }
}
