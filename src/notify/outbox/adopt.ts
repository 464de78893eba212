import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import type pg from 'pg'
import type { Logger } from 'pino'
import type { App } from '../../app.ts'
import { isLockTimeout, sqlState } from '../../base/failure.ts'
import { repeat } from '../../base/pulse.ts'
import { eventAsJson } from './event.ts'
import { makePartitionsInTime, needsPartition } from './partitions.ts'

/**
 * SQL for the values that are compared with the stored row. Transaction ids belong to the cluster; timeline and
 * database only distinguish copies.
 */
const identity = `(select system_identifier from pg_control_system()) as system_identifier,
  left(pg_walfile_name(pg_current_wal_lsn()), 8) as timeline,
  (select oid from pg_database where datname = current_database()) as database_oid`

const newEpoch = `substr(md5(gen_random_uuid()::text), 1, 8)`

/** There may be millions of unread events, so this one statement may run for an hour. */
const ADOPTION_MS = 60 * 60_000
/** Timeout of one attempt to lock for an adoption, because writers queue up behind it. */
const LOCK_TIMEOUT = '1s'
const BETWEEN_TRIES_MS = 500
const TRIES = 60
/** How often an api process checks its connections. */
const WATCH_MS = 1000

/**
 * Compares the database's stored identity with its cluster. Runs for each new connection, once a second in each api
 * process (connections to a pooler outlive a failover), and in `migrate`. After a promotion or physical copy, only the
 * epoch changes; after a restore or logical replication, the database is adopted. A database without our schema is not
 * changed.
 * @throws {Error} when the database is still being restored
 */
export async function checkInstallation(client: pg.ClientBase, log: Logger): Promise<void> {
  await adoptIfDifferent(client, log, await compare(client))
}

async function adoptIfDifferent(client: pg.ClientBase, log: Logger, found: Comparison | undefined): Promise<void> {
  if (!found || (found.adopted && found.same)) return
  if (found.adopted) return renewEpoch(client, log, { onlyIfDifferent: true })
  // A restore creates triggers after all data, so the dump's data may still be incomplete.
  if (found.restoring) throw new Error('the database is being restored: it has no triggers yet')
  await adopt(client, log, { onlyIfDifferent: true })
}

type Comparison = { adopted: boolean | null; same: boolean; restoring: boolean; isFull: boolean }

/**
 * Compares the database with its cluster. Undefined without our schema, or with an older version, which `migrate` has
 * yet to change.
 */
async function compare(client: pg.ClientBase): Promise<Comparison | undefined> {
  try {
    const { rows } = await client.query<Comparison>(
      `select notify.is_adopted() as adopted, (i.timeline, i.database_oid) is not distinct from (c.timeline, c.database_oid) as same,
         not exists (select from pg_trigger where tgrelid = 'notify.outbox'::regclass and tgname = 'outbox_adopted') as restoring,
         ${needsPartition} as "isFull"
       from (select ${identity}) c left join notify.installation i on true`,
    )
    return rows[0]
  } catch (error) {
    if (isUndefined(error)) return undefined
    throw error
  }
}

/** While the server listens, checks whether the database is still the same and whether its log has room. */
export function watchLog(server: FastifyInstance, { pool, log, config }: App): void {
  let watch: { close(): Promise<void> } | undefined
  server.addHook('onListen', async () => {
    watch = repeat(WATCH_MS, log, 'watching the log', async () => {
      if (await watchInstallation(pool, log)) await makePartitionsInTime(pool, log, config.outboxRetentionDays)
    })
  })
  server.addHook('onClose', async () => watch?.close())
}

/**
 * Repeats the check for connections that outlive a failover or restore: those to a pooler, and all if a dump is restored while
 * processes run. Returns whether the last partition of the log is in use, from the same statement.
 */
export async function watchInstallation(pool: pg.Pool, log: Logger): Promise<boolean> {
  const client = await pool.connect()
  try {
    const found = await compare(client)
    await adoptIfDifferent(client, log, found)
    return found?.isFull ?? false
  } finally {
    client.release()
  }
}

/**
 * Makes every client fetch its list again, and changes nothing else. Positions stay right after a promotion or in a
 * physical copy. The log before a position contains the end of every transaction that its snapshot shows as ended, and
 * no transaction id below its xmax is assigned again.
 */
export async function renewEpoch(
  client: pg.ClientBase,
  log: Logger,
  { onlyIfDifferent }: { onlyIfDifferent: boolean },
): Promise<void> {
  const { rows } = await client.query(
    `update notify.installation i set epoch = ${newEpoch}, adopted_at = now(), adopted_by = pg_current_xact_id(),
       timeline = c.timeline, database_oid = c.database_oid
     from (select ${identity}) c
     where not $1 or (i.timeline, i.database_oid) is distinct from (c.timeline, c.database_oid)
     returning epoch`,
    [onlyIfDifferent],
  )
  if (rows[0]) log.warn({ epoch: rows[0].epoch }, 'started a new epoch, because the database was promoted or copied')
}

/**
 * Adopts the database for this cluster: unread events become pending, positions start at the current snapshot, and a
 * new epoch makes every client fetch its list again. Also run it by command after the rollback of a disk snapshot,
 * which leaves no trace.
 * @throws {Error} naming the processes with open transactions that wrote to the log
 */
export async function adopt(
  client: pg.ClientBase,
  log: Logger,
  { onlyIfDifferent }: { onlyIfDifferent: boolean },
): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await tryToAdopt(client, log, onlyIfDifferent)
    } catch (error) {
      if (!isLockTimeout(error)) throw error
      if (attempt === TRIES)
        throw new Error(`cannot adopt the database while processes ${await writers(client)} write to it`, {
          cause: error,
        })
      if (attempt === 1)
        log.warn({ processes: await writers(client) }, 'waiting for open transactions before adopting the database')
      await delay(BETWEEN_TRIES_MS)
    }
  }
}

async function tryToAdopt(client: pg.ClientBase, log: Logger, onlyIfDifferent: boolean): Promise<void> {
  await client.query('begin; set local statement_timeout = 0')
  try {
    await client.query(`set local lock_timeout = '${LOCK_TIMEOUT}'`)
    await client.query('lock table notify.positions in exclusive mode')
    // Otherwise an event that is being written would be lost: not yet visible to become pending, and below the ids that
    // are read from now on.
    await client.query('lock table notify.outbox in share mode')
    const { rows } = await client.query(
      `insert into notify.installation as i (epoch, system_identifier, timeline, database_oid, adopted_by, table_oid)
       select ${newEpoch}, c.*, pg_current_xact_id(), 'notify.installation'::regclass from (select ${identity}) c
       on conflict (only_row) do update set epoch = excluded.epoch, adopted_at = now(), system_identifier = excluded.system_identifier,
         timeline = excluded.timeline, database_oid = excluded.database_oid, adopted_by = excluded.adopted_by, table_oid = excluded.table_oid
       where not $1 or notify.is_adopted() is not true
       returning epoch`,
      [onlyIfDifferent],
    )
    if (rows[0]) {
      const pending = await makeUnreadPending(client)
      await startAtCurrentSnapshot(client)
      await client.query('select ops.advance_sequences()')
      log.warn({ epoch: rows[0].epoch, pending }, 'adopted the database, because it was restored or copied')
    }
    await client.query('commit')
  } catch (error) {
    await client.query('rollback')
    throw error
  }
}

/** Ids of the processes that hold the log for writing. */
async function writers(client: pg.ClientBase): Promise<string> {
  const { rows } = await client.query<{ pids: string | null }>(
    `select string_agg(distinct pid::text, ', ') as pids from pg_locks
     where granted and mode = 'RowExclusiveLock' and pid <> pg_backend_pid() and database = (select oid from pg_database where datname = current_database())
       and relation in ('notify.outbox'::regclass, 'notify.positions'::regclass)`,
  )
  return rows[0]?.pids ?? ''
}

/**
 * The stored transaction ids and snapshots belong to the same former cluster, so they still show which events were
 * read. Critical events come before everything else that is due, as in the log.
 */
async function makeUnreadPending(client: pg.ClientBase): Promise<number> {
  const statement = {
    query_timeout: ADOPTION_MS,
    text: `insert into notify.pending (consumer, event_id, recipient_id, event, due_at, last_error)
     select p.consumer, o.id, o.recipient_id, ${eventAsJson}, case when o.critical then to_timestamp(0) else now() end,
       'the database was adopted before this event was read'
     from notify.positions p
     join notify.outbox o on o.critical = p.critical and o.shard between p.shard_from and p.shard_to and o.id >= p.from_id
       and (p.consumer <> 'counters' or o.counted)
     where not pg_visible_in_snapshot(o.xid, p.done)
       and not (p.target is not null and pg_visible_in_snapshot(o.xid, p.target)
                and case when p.critical then (o.xid, o.id) <= (p.after_xid, p.after_id)
                         else (o.shard, o.xid, o.id) <= (p.after_shard::smallint, p.after_xid, p.after_id) end)
     on conflict on constraint pending_once do nothing`,
  }
  const { rowCount } = await client.query(statement)
  // A backlog may have filled an empty table. With statistics, the planner walks the index of due events instead of
  // sorting all.
  await client.query('analyze notify.pending')
  return rowCount ?? 0
}

/**
 * Continues the sequence in the next partition, so readers, who now start there, never see rows with the former
 * cluster's transaction ids. Logical replication does not copy sequences; then the highest id shows how far they came.
 */
async function startAtCurrentSnapshot(client: pg.ClientBase): Promise<void> {
  await client.query(
    `with drawn as (
       select greatest(s.last_value, (select max(o.id) from notify.outbox o)) as id from notify.outbox_id_seq s
     ), next as (
       select coalesce(min(p.from_id), drawn.id + 1) as id
       from drawn left join notify.outbox_partitions p on p.from_id > drawn.id group by drawn.id
     ), moved as (select setval('notify.outbox_id_seq', id, false) as id from next)
     update notify.positions set from_id = moved.id, adopted_id = moved.id, done = pg_current_snapshot(), target = null,
       after_shard = null, after_xid = null, after_id = null, moved_at = now()
     from moved`,
  )
  // `filled_before` also contains transaction ids of the former cluster.
  await client.query(
    'update notify.outbox_partitions set filled_before = pg_current_xact_id() where filled_before is not null',
  )
}

/** True if a schema, a table or a function is missing. */
function isUndefined(error: unknown): boolean {
  return ['3F000', '42P01', '42883'].includes(sqlState(error))
}
