import type pg from 'pg'
import type { Logger } from 'pino'

/** Today and these days after it. */
const DAYS_AHEAD = 3
/** How long a statement on the log's parent may wait for its lock, and everybody else behind it, before it gives up. */
const LOCK_TIMEOUT = '500ms'
const ADVISORY_LOCK = 'ravenpost delivery log partitions'

/** Holds when the partitions do not reach far enough ahead; looked at by the poll. */
export const needsPartitions = `not exists (select from notify.delivery_log_days where to_at > now() + interval '${DAYS_AHEAD - 1} days')`

/** Makes partitions ahead and drops those that retention does not keep. Repeating it does nothing; safe in any process. */
export async function maintainDeliveryLog(pool: pg.Pool, log: Logger, retentionDays: number): Promise<void> {
  const client = await pool.connect()
  try {
    const { rows } = await client.query('select pg_try_advisory_lock(hashtext($1)) as mine', [ADVISORY_LOCK])
    if (!rows[0]?.mine) return
    try {
      await client.query(`set lock_timeout = '${LOCK_TIMEOUT}'`)
      await makeAhead(client)
      await dropOld(client, log, retentionDays)
    } finally {
      await client.query('reset lock_timeout')
      await client.query('select pg_advisory_unlock(hashtext($1))', [ADVISORY_LOCK])
    }
  } finally {
    client.release()
  }
}

/** Made as a plain table first and then attached: attaching takes a lock that inserts do not wait for. */
async function makeAhead(client: pg.ClientBase): Promise<void> {
  const { rows } = await client.query<{ name: string; from: string; to: string }>(
    `select name, day || 'Z' as from, day + interval '1 day' || 'Z' as to
     from (select day, to_char(day, '"delivery_log_"YYYYMMDD') as name
           from generate_series(date_trunc('day', now() at time zone 'UTC'), (now() at time zone 'UTC') + interval '${DAYS_AHEAD} days', interval '1 day') day) d
     where name not in (select name from notify.delivery_log_days) order by day`,
  )
  for (const { name, from, to } of rows) {
    await client.query(`create table if not exists notify.${name} (like notify.delivery_log including all)`)
    await client.query('begin')
    try {
      await client.query(
        `alter table notify.delivery_log attach partition notify.${name} for values from ('${from}') to ('${to}')`,
      )
      await client.query('insert into notify.delivery_log_days values ($1, $2, $3)', [name, from, to])
      await client.query('commit')
    } catch (error) {
      await client.query('rollback')
      throw error
    }
  }
}

async function dropOld(client: pg.ClientBase, log: Logger, retentionDays: number): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    'select name from notify.delivery_log_days where to_at < now() - make_interval(days => $1) order by from_at',
    [retentionDays],
  )
  for (const { name } of rows) {
    const { rows: attached } = await client.query(
      'select inhdetachpending as pending from pg_inherits where inhrelid = to_regclass($1)',
      [`notify.${name}`],
    )
    if (attached[0]) {
      const how = attached[0].pending ? 'finalize' : 'concurrently'
      await client.query(`alter table notify.delivery_log detach partition notify.${name} ${how}`)
    }
    await client.query(`drop table if exists notify.${name}`)
    await client.query('delete from notify.delivery_log_days where name = $1', [name])
    log.info({ partition: name }, 'dropped a day of the delivery log after its retention')
  }
}
