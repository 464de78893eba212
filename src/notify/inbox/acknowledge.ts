import type pg from 'pg'
import { acknowledged } from '../../base/metrics.ts'
import { columns } from '../../db/columns.ts'
import { type Durability, inTransaction } from '../../db/transaction.ts'
import { logIsOpen } from '../delivery-log/append.ts'
import { inboxOf, isLocked, translateBusy } from './lock.ts'

/** An acknowledgement: a device of this user has received all changes up to this modseq. */
export type Acknowledgement = { userId: string; modseq: number }

/**
 * Sets `delivered_at` of everything that grew since the last acknowledged state, for many users in one short transaction.
 * Delivery is not part of the state: it has no modseq and causes no push. Limits a modseq to that of the inbox.
 * @param onBusy what happens to an inbox that another transaction holds: `wait` for it up to a second, or `skip` it
 * @returns the acknowledgements that were skipped, one per user
 * @throws {AppError} INBOX_BUSY an inbox was locked for more than a second; try again
 */
export async function acknowledge(
  pool: pg.Pool,
  acknowledgements: Acknowledgement[],
  durability: Durability,
  onBusy: 'wait' | 'skip' = 'wait',
): Promise<Acknowledgement[]> {
  if (acknowledgements.length === 0) return []
  const latest = new Map<string, number>()
  for (const { userId, modseq } of acknowledgements) latest.set(userId, Math.max(modseq, latest.get(userId) ?? 0))
  const store = async (client: pg.ClientBase) => {
    const rows = await lockMoved(client, latest, onBusy)
    const moved = rows.filter(isMoved)
    const delivered = moved.length > 0 ? await storeDelivery(client, moved) : 0
    return { delivered, held: rows.filter((row) => !isMoved(row)) }
  }
  const { delivered, held } = await inTransaction(pool, store, durability).catch(translateBusy)
  acknowledged.inc(delivered)
  return held.map(({ userId }) => ({ userId, modseq: latest.get(userId) ?? 0 }))
}

type Moved = { userId: string; version: string; from: number; to: number }
/** An inbox that another transaction holds. */
type Held = { userId: string; version: null }

const isMoved = (row: Moved | Held): row is Moved => row.version !== null

const moves = 'i.acked_modseq < least(w.modseq, i.modseq)'

/**
 * Locks the inboxes whose acknowledged state moves, ordered by user id as everywhere. Another device may have moved it before.
 * The outer join keeps the users whose inbox was skipped.
 */
async function lockMoved(
  client: pg.ClientBase,
  latest: Map<string, number>,
  onBusy: 'wait' | 'skip',
): Promise<(Moved | Held)[]> {
  const { rows } = await client.query<Moved | Held>({
    name: onBusy === 'wait' ? 'lock_acknowledged_inboxes' : 'lock_free_acknowledged_inboxes',
    text: `select w.user_id as "userId", i.version, i.acked_modseq::float8 as from, least(w.modseq, i.modseq)::float8 as to
           from (
             select w.* from ${acked.from} cross join ${inboxOf('w.user_id')} where ${moves} order by w.user_id
           ) w
           left join ${inboxOf('w.user_id', onBusy === 'wait' ? 'for update' : 'for update skip locked')} on true
           where i.version is null or ${moves}`,
    values: acked.values([...latest]),
  })
  return rows
}

const acked = columns<[userId: string, modseq: number]>(
  {
    user_id: ['bigint', ([userId]) => userId],
    modseq: ['bigint', ([, modseq]) => modseq],
  },
  { hidden: true },
)

/** A separate statement, so that its snapshot is later than the locks. Returns the number of delivered notifications. */
async function storeDelivery(client: pg.ClientBase, moved: Moved[]): Promise<number> {
  const { rows } = await client.query<{ delivered: number }>({
    name: 'store_delivery',
    text: `with delivered as (
             update notify.notifications n set delivered_at = now()
             from ${received.from}
             where n.user_id = w.user_id and n.grown_modseq > w.acked_before and n.grown_modseq <= w.acked
               and n.delivered_at is null and not n.filtered
             returning n.user_id, n.id, w.acked
           ), logged as (
             insert into notify.delivery_log (recipient_id, notification_id, event, channel, modseq)
             select user_id, id, 'acknowledged', 'inApp', acked from delivered where ${logIsOpen}
           ), moved as (
             update notify.inbox i set acked_modseq = w.acked
             from ${received.from}
             where ${isLocked}
           )
           select count(*)::int as delivered from delivered`,
    values: received.values(moved),
  })
  return rows[0]?.delivered ?? 0
}

const received = columns<Moved>(
  {
    user_id: ['bigint', (moved) => moved.userId],
    version: ['tid', (moved) => moved.version],
    acked_before: ['bigint', (moved) => moved.from],
    acked: ['bigint', (moved) => moved.to],
  },
  { hidden: true },
)
