import type pg from 'pg'

/** How long a statement on a partitioned table may wait for its lock, and everybody else behind it, before it gives up. */
const LOCK_TIMEOUT = '500ms'

/** Runs `work` unless another process is at the same: `what` names it. Each of its statements is a transaction of its own. */
export async function maintainAlone(
  pool: pg.Pool,
  what: string,
  work: (client: pg.ClientBase) => Promise<void>,
): Promise<void> {
  const client = await pool.connect()
  try {
    const { rows } = await client.query('select pg_try_advisory_lock(hashtext($1)) as mine', [what])
    if (!rows[0]?.mine) return
    try {
      await client.query(`set lock_timeout = '${LOCK_TIMEOUT}'`)
      await work(client)
    } finally {
      await client.query('reset lock_timeout')
      await client.query('select pg_advisory_unlock(hashtext($1))', [what])
    }
  } finally {
    client.release()
  }
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
  await client.query(`create table if not exists notify.${name} (like notify.${table} including all)`)
  await client.query('begin')
  try {
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
