import { setTimeout as delay } from 'node:timers/promises'
import type pg from 'pg'
import type { Logger } from 'pino'
import { isLockTimeout, sqlState } from '../../base/failure.ts'
import { eventAsJson } from './event.ts'

/** What the stored row is compared with. The transaction ids belong to the cluster; timeline and database only tell copies apart. */
const identity = `(select system_identifier from pg_control_system()) as system_identifier,
  left(pg_walfile_name(pg_current_wal_lsn()), 8) as timeline,
  (select oid from pg_database where datname = current_database()) as database_oid`

const newEpoch = `substr(md5(gen_random_uuid()::text), 1, 8)`

/** The unread may be millions: this one statement takes as long as it takes. */
const ADOPTION_MS = 60 * 60_000
/** One try for the locks of an adoption: writers queue up behind it. */
const LOCK_TIMEOUT = '1s'
const BETWEEN_TRIES_MS = 500
const TRIES = 60

/**
 * Called on each new connection before it is used, by each api once a second (its connections to a pooler outlive a failover), and by
 * `migrate`. After a promotion or a physical copy only the epoch changes; after a restore or logical replication the database is adopted.
 * A database without our schema is left alone.
 * @throws {Error} when the database is still being restored
 */
export async function checkInstallation(client: pg.ClientBase, log: Logger): Promise<void> {
  const found = await compare(client)
  if (!found || (found.adopted && found.same)) return
  if (found.adopted) return renewEpoch(client, log, { onlyIfDifferent: true })
  // Triggers are restored after all data: what came with the dump may not be there yet.
  if (found.restoring) throw new Error('the database is being restored: its triggers are missing')
  await adopt(client, log, { onlyIfDifferent: true })
}

type Comparison = { adopted: boolean | null; same: boolean; restoring: boolean }

/** Undefined without our schema, or with that of an older version, which `migrate` has yet to change. */
async function compare(client: pg.ClientBase): Promise<Comparison | undefined> {
  try {
    const { rows } = await client.query<Comparison>(
      `select notify.is_adopted() as adopted, (i.timeline, i.database_oid) is not distinct from (c.timeline, c.database_oid) as same,
         not exists (select from pg_trigger where tgrelid = 'notify.outbox'::regclass and tgname = 'outbox_adopted') as restoring
       from (select ${identity}) c left join notify.installation i on true`,
    )
    return rows[0]
  } catch (error) {
    if (isUndefined(error)) return undefined
    throw error
  }
}

/** For connections that outlive a failover or a restore: those to a pooler, and all of them when a dump is restored under running processes. */
export async function watchInstallation(pool: pg.Pool, log: Logger): Promise<void> {
  const client = await pool.connect()
  try {
    await checkInstallation(client, log)
  } finally {
    client.release()
  }
}

/**
 * Makes every client fetch its list again, and changes nothing else. After a promotion or in a physical copy the positions are right as they
 * are: the log of the database that holds a position holds, before it, the end of every transaction that the position's snapshot shows as
 * ended, and no transaction id below its xmax is given out again.
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
  if (rows[0]) log.warn({ epoch: rows[0].epoch }, 'gave the database a new epoch: it was promoted or copied')
}

/**
 * Adopts the database for this cluster: what a consumer had not read becomes pending, positions start at the current
 * snapshot, and a new epoch makes every client fetch its list again. Also to be called, by command, after a disk snapshot
 * was rolled back, which leaves no mark.
 * @throws {Error} naming the processes that hold transactions open which wrote to the log
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
        log.warn({ processes: await writers(client) }, 'waits for open transactions before it adopts the database')
      await delay(BETWEEN_TRIES_MS)
    }
  }
}

async function tryToAdopt(client: pg.ClientBase, log: Logger, onlyIfDifferent: boolean): Promise<void> {
  await client.query('begin; set local statement_timeout = 0')
  try {
    await client.query(`set local lock_timeout = '${LOCK_TIMEOUT}'`)
    await client.query('lock table notify.positions in exclusive mode')
    // An event that is being written would be in neither: not yet visible to become pending, and below the ids that are read from now on.
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
      log.warn({ epoch: rows[0].epoch, pending }, 'adopted the database: it was restored or copied')
    }
    await client.query('commit')
  } catch (error) {
    await client.query('rollback')
    throw error
  }
}

/** Process ids of those who hold the log for writing. */
async function writers(client: pg.ClientBase): Promise<string> {
  const { rows } = await client.query<{ pids: string | null }>(
    `select string_agg(distinct pid::text, ', ') as pids from pg_locks
     where granted and mode = 'RowExclusiveLock' and pid <> pg_backend_pid() and database = (select oid from pg_database where datname = current_database())
       and relation in ('notify.outbox'::regclass, 'notify.positions'::regclass)`,
  )
  return rows[0]?.pids ?? ''
}

/**
 * The stored transaction ids and snapshots are of one and the same former cluster, so they still tell what had been read.
 * Critical events come before everything else that is due, as they do in the log.
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
  // A backlog may have come into an empty table: with statistics, taking what is due walks its index instead of sorting all.
  await client.query('analyze notify.pending')
  return rowCount ?? 0
}

/**
 * The sequence goes on in the next partition, so that readers, who now start there, never look at rows whose transaction
 * ids are the former cluster's. Logical replication copies no sequences: then the highest id tells how far they came.
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
  // What was noted about full partitions is in the former cluster's numbers too.
  await client.query(
    'update notify.outbox_partitions set filled_before = pg_current_xact_id() where filled_before is not null',
  )
}

/** The schema, a table or a function is missing. */
function isUndefined(error: unknown): boolean {
  return ['3F000', '42P01', '42883'].includes(sqlState(error))
}
