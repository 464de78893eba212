import type pg from 'pg'
import type { Logger } from 'pino'
import { eventAsJson } from './event.ts'

/** What transaction ids belong to: cluster, timeline and database. */
const identity = `(select system_identifier from pg_control_system()) as system_identifier,
  left(pg_walfile_name(pg_current_wal_lsn()), 8) as timeline,
  (select oid from pg_database where datname = current_database()) as database_oid`

/** The unread may be millions: this one statement takes as long as it takes. */
const ADOPTION_MS = 60 * 60_000

/**
 * Called on each new connection before it is used: when the database was restored, copied or promoted since it was last
 * seen, its positions speak of another cluster's transactions and it is adopted. A database without our schema is left alone.
 */
export async function checkInstallation(client: pg.ClientBase, log: Logger): Promise<void> {
  try {
    const { rows } = await client.query(
      `select (i.system_identifier, i.timeline, i.database_oid) is not distinct from (c.system_identifier, c.timeline, c.database_oid) as same
       from notify.installation i, (select ${identity}) c`,
    )
    if (rows[0]?.same === false) await adopt(client, log, { onlyIfDifferent: true })
  } catch (error) {
    if (isUndefinedTable(error)) return
    throw error
  }
}

/**
 * Adopts the database for this cluster: what a consumer had not read becomes pending, positions start at the current
 * snapshot, and a new epoch makes every client fetch its list again. Also to be called, by command, after a disk snapshot
 * was rolled back, which leaves no mark.
 */
export async function adopt(
  client: pg.ClientBase,
  log: Logger,
  { onlyIfDifferent }: { onlyIfDifferent: boolean },
): Promise<void> {
  await client.query('begin')
  try {
    await client.query('lock table notify.positions in exclusive mode')
    const { rows } = await client.query(
      `update notify.installation i set epoch = substr(md5(gen_random_uuid()::text), 1, 8), adopted_at = now(),
         system_identifier = c.system_identifier, timeline = c.timeline, database_oid = c.database_oid
       from (select ${identity}) c
       where not $1 or (i.system_identifier, i.timeline, i.database_oid) is distinct from (c.system_identifier, c.timeline, c.database_oid)
       returning epoch`,
      [onlyIfDifferent],
    )
    if (rows[0]) {
      const pending = await makeUnreadPending(client)
      await startAtCurrentSnapshot(client)
      log.warn({ epoch: rows[0].epoch, pending }, 'adopted the database: it was restored, copied or promoted')
    }
    await client.query('commit')
  } catch (error) {
    await client.query('rollback')
    throw error
  }
}

/** The stored transaction ids and snapshots are of one and the same former cluster, so they still tell what had been read. */
async function makeUnreadPending(client: pg.ClientBase): Promise<number> {
  const statement = {
    query_timeout: ADOPTION_MS,
    text: `insert into notify.pending (consumer, event_id, recipient_id, event, last_error)
     select p.consumer, o.id, o.recipient_id, ${eventAsJson}, 'the database was adopted before this event was read'
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
 * ids are the former cluster's.
 */
async function startAtCurrentSnapshot(client: pg.ClientBase): Promise<void> {
  await client.query(
    `with next as (
       select coalesce(min(p.from_id), (select last_value + 1 from notify.outbox_id_seq)) as id
       from notify.outbox_partitions p, notify.outbox_id_seq s where p.from_id > s.last_value
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

function isUndefinedTable(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === '42P01' || error.code === '3F000')
}
