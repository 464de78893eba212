import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type pg from 'pg'
import type { Logger } from 'pino'
import { isLockTimeout } from '../base/failure.ts'

/** Maximum wait of a statement for a lock on a partitioned table, and of everyone behind it. */
const LOCK_TIMEOUT = '500ms'
/** Duration of a lease: much longer than the work takes. After the death of a process, others wait this long. */
const LEASE = '1 minute'
/** Wait before another attempt. A transaction that locks a log for longer than the timeout may lock it for an hour. */
const LONG_HELD_MS = 1000
const OVERDUE_AFTER = '10 minutes'

/** Tasks with a row in notify.maintenance. */
export type Maintenance = 'outbox partitions' | 'delivery log partitions'

/** Runs `work` unless another process holds its lease. Each statement of `work` is its own transaction. */
export async function maintainAlone(
  pool: pg.Pool,
  log: Logger,
  what: Maintenance,
  work: (client: pg.ClientBase) => Promise<void>,
): Promise<void> {
  const client = await pool.connect()
  try {
    const lease = randomUUID()
    if (!(await takeLease(client, what, lease))) return await warnIfOverdue(client, log, what)
    const end = (also: string) =>
      client.query(`update notify.maintenance set held_until = now() ${also} where what = $1 and lease = $2`, [
        what,
        lease,
      ])
    try {
      await work(client)
    } catch (error) {
      await end('')
      throw error
    }
    await end(', finished_at = now()')
  } finally {
    client.release()
  }
}

/** Gives up on locks that are not granted in time. Not usable through a transaction pooler. */
export async function withLockTimeout(client: pg.ClientBase, work: () => Promise<void>): Promise<void> {
  await client.query(`set lock_timeout = '${LOCK_TIMEOUT}'`)
  await work().finally(() => client.query('reset lock_timeout'))
}

/** A lease that ends later than possible was taken before the clock was set back. */
async function takeLease(client: pg.ClientBase, what: Maintenance, lease: string): Promise<boolean> {
  const { rowCount } = await client.query(
    `update notify.maintenance set lease = $2, held_until = now() + interval '${LEASE}'
     where what = (select what from notify.maintenance
                   where what = $1 and held_until not between now() and now() + interval '${LEASE}' for update skip locked)`,
    [what, lease],
  )
  return rowCount === 1
}

async function warnIfOverdue(client: pg.ClientBase, log: Logger, what: Maintenance): Promise<void> {
  const { rows } = await client.query<{ finishedAt: Date }>(
    `select finished_at as "finishedAt" from notify.maintenance
     where what = $1 and finished_at > now() - interval '${OVERDUE_AFTER}'`,
    [what],
  )
  if (rows.length === 0)
    log.warn({ what }, `overdue by ${OVERDUE_AFTER}: another database session holds its row in notify.maintenance`)
}

/** A log in schema notify, and the table that lists its partitions by name. */
export type Partitioned = { table: 'outbox' | 'delivery_log'; list: string }

/**
 * `listed`: the row for the table of partitions, with name and bounds. Written in the transaction that attaches the
 * partition.
 */
export async function makePartition(
  client: pg.ClientBase,
  { table, list }: Partitioned,
  listed: [name: string, from: string, to: string],
): Promise<void> {
  await client.query('begin')
  try {
    await client.query(`set local lock_timeout = '${LOCK_TIMEOUT}'`)
    await client.query('select notify.attach_partition($1, $2, $3, $4)', [table, ...listed])
    await client.query(`insert into notify.${list} values ($1, $2, $3)`, listed)
    await client.query('commit')
  } catch (error) {
    await client.query('rollback')
    throw error
  }
}

/** Drops these expired partitions in order. Stops at one that is locked; a later run continues. */
export async function dropPartitions(
  client: pg.ClientBase,
  log: Logger,
  partitioned: Partitioned,
  names: string[],
): Promise<void> {
  for (const partition of names) {
    if (!(await dropPartition(client, partitioned, partition)))
      return log.info({ partition }, 'cannot drop a partition yet: another transaction locks the log')
    log.info({ partition }, `dropped an expired partition of ${partitioned.table}`)
  }
}

/**
 * Locks the whole log briefly, and inserts wait behind it. So it does not start while another transaction, such as a
 * dump, has locked the log for a second. (DETACH CONCURRENTLY would not wait, but only the owner of the log may use
 * it.)
 * @returns whether the partition was dropped; otherwise retry later
 */
async function dropPartition(client: pg.ClientBase, { table, list }: Partitioned, name: string): Promise<boolean> {
  const holders = await holdersOf(client, [table, name])
  if (holders.size > 0) {
    await delay(LONG_HELD_MS)
    for (const holder of await holdersOf(client, [table, name])) if (holders.has(holder)) return false
  }
  try {
    await client.query('select notify.drop_partition($1, $2)', [table, name])
  } catch (error) {
    if (isLockTimeout(error)) return false
    throw error
  }
  await client.query(`delete from notify.${list} where name = $1`, [name])
  return true
}

/** Other transactions that have locked one of these tables. */
async function holdersOf(client: pg.ClientBase, tables: string[]): Promise<Set<string>> {
  const { rows } = await client.query<{ holder: string }>(
    `select distinct virtualtransaction as holder from pg_locks
     where granted and pid <> pg_backend_pid() and database = (select oid from pg_database where datname = current_database())
       and relation in (select to_regclass('notify.' || name) from unnest($1::text[]) name)`,
    [tables],
  )
  return new Set(rows.map((row) => row.holder))
}
