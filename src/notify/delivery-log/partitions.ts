import type pg from 'pg'
import type { Logger } from 'pino'
import { dropPartitions, maintainAlone, makePartition, withLockTimeout } from '../../db/partitions.ts'

/** Number of days ahead, besides today. */
const DAYS_AHEAD = 3
const deliveryLog = { table: 'delivery_log', list: 'delivery_log_days' } as const

/** True when the partitions do not reach far enough ahead. The poll checks it. */
export const needsPartitions = `not exists (select from notify.delivery_log_days where to_at > now() + interval '${DAYS_AHEAD - 1} days')`

/** Makes partitions ahead and drops those beyond the retention period. Idempotent and safe in any process. */
export function maintainDeliveryLog(pool: pg.Pool, log: Logger, retentionDays: number): Promise<void> {
  return maintainAlone(pool, log, 'delivery log partitions', (client) =>
    withLockTimeout(client, async () => {
      await makeAhead(client)
      await dropOld(client, log, retentionDays)
    }),
  )
}

async function makeAhead(client: pg.ClientBase): Promise<void> {
  const { rows } = await client.query<{ name: string; from: string; to: string }>(
    `select name, day || 'Z' as from, day + interval '1 day' || 'Z' as to
     from (select day, to_char(day, '"delivery_log_"YYYYMMDD') as name
           from generate_series(date_trunc('day', now() at time zone 'UTC'), (now() at time zone 'UTC') + interval '${DAYS_AHEAD} days', interval '1 day') day) d
     where name not in (select name from notify.delivery_log_days) order by day`,
  )
  for (const { name, from, to } of rows) await makePartition(client, deliveryLog, [name, from, to])
}

async function dropOld(client: pg.ClientBase, log: Logger, retentionDays: number): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    'select name from notify.delivery_log_days where to_at < now() - make_interval(days => $1) order by from_at',
    [retentionDays],
  )
  await dropPartitions(
    client,
    log,
    deliveryLog,
    rows.map(({ name }) => name),
  )
}
