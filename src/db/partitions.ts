import { randomUUID } from 'node:crypto'
import type pg from 'pg'
import type { Logger } from 'pino'

/** How long a statement on a partitioned table may wait for its lock, and everybody else behind it, before it gives up. */
const LOCK_TIMEOUT = '500ms'
/** Far longer than the work takes. A process that dies at it holds others up for so long. */
const LEASE = '1 minute'
const OVERDUE_AFTER = '10 minutes'

/** Work of which there is a row in notify.maintenance. */
export type Maintenance = 'outbox partitions' | 'delivery log partitions'

/** Runs `work` unless another process holds its lease. Each of its statements is a transaction of its own. */
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

/** Gives up on every lock that `work` does not get in time. Not through a transaction pooler. */
export async function withLockTimeout(client: pg.ClientBase, work: () => Promise<void>): Promise<void> {
  await client.query(`set lock_timeout = '${LOCK_TIMEOUT}'`)
  await work().finally(() => client.query('reset lock_timeout'))
}

/** A lease that ends later than any can was given before the clock was set back. */
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
    log.warn({ what }, `not done for ${OVERDUE_AFTER}: another session holds its row of notify.maintenance`)
}

/** A table in schema notify whose partitions are listed in another one, by name. */
export type Partitioned = { table: string; list: string }

/**
 * Made as a plain table first and then attached: attaching takes a lock that inserts do not wait for. `listed` is the row of
 * the list, the name first; it is written in the transaction of the attachment.
 */
export async function makePartition(
  client: pg.ClientBase,
  { table, list }: Partitioned,
  range: string,
  listed: [name: string, from: string, to: string],
): Promise<void> {
  const [name] = listed
  await client.query('begin')
  try {
    await client.query(`set local lock_timeout = '${LOCK_TIMEOUT}'`)
    await client.query(`create table if not exists notify.${name} (like notify.${table} including all)`)
    await client.query(`alter table notify.${table} attach partition notify.${name} for values ${range}`)
    await client.query(`insert into notify.${list} values ($1, $2, $3)`, listed)
    await client.query('commit')
  } catch (error) {
    await client.query('rollback')
    throw error
  }
}

/** Detached without keeping inserts waiting; goes on where a former attempt was interrupted. */
export async function dropPartition(client: pg.ClientBase, { table, list }: Partitioned, name: string): Promise<void> {
  const { rows: attached } = await client.query(
    'select inhdetachpending as pending from pg_inherits where inhrelid = to_regclass($1)',
    [`notify.${name}`],
  )
  if (attached[0]) {
    const how = attached[0].pending ? 'finalize' : 'concurrently'
    await client.query(`alter table notify.${table} detach partition notify.${name} ${how}`)
  }
  await client.query(`drop table if exists notify.${name}`)
  await client.query(`delete from notify.${list} where name = $1`, [name])
}
