import type pg from 'pg'
import type { App } from '../../app.ts'
import { isLockTimeout } from '../../base/failure.ts'
import { inTransaction } from '../../db/transaction.ts'
import { fail } from '../../errors.ts'

/** `updated`: number of changed notifications. Counts, epoch and modseq follow the last change. */
export type InboxResult = { updated: number; unreadCount: number; unseenCount: number; epoch: string; modseq: number }

/** An inbox as read under its row lock. */
export type LockedInbox = {
  userId: string
  version: string
  epoch: string
  modseq: number
  unreadCount: number
  unseenCount: number
  seenModseq: number
}

/**
 * `unread`, `unseen`: changes of the counts. `last`: `grown_modseq` of the last changed notification: the lowest one,
 * or the highest when marking as seen. `more`: the chunk was full.
 */
export type InboxChange = {
  updated: number
  unread: number
  unseen: number
  last: number
  more: boolean
  seenModseq?: number
}

export const NOTHING: InboxChange = { updated: 0, unread: 0, unseen: 0, last: 0, more: false }

/**
 * Changes one inbox and notifies the push nodes after the commit. Locks its row first, so the statements of `work` see all
 * earlier changes and may set modseqs and counts absolutely. `lockFirst`: locks what comes before inboxes in the lock order.
 */
export async function changeInbox(
  app: App,
  userId: string,
  work: (client: pg.ClientBase, inbox: LockedInbox) => Promise<InboxChange>,
  lockFirst?: (client: pg.ClientBase) => Promise<void>,
): Promise<{ change: InboxChange; result: InboxResult }> {
  const step = await inTransaction(app.pool, async (client) => {
    await lockFirst?.(client)
    return changeLocked(client, userId, work)
  }).catch(translateBusy)
  if (step.change.updated > 0) app.wakeUps.inboxChanged(userId, step.result.modseq)
  return step
}

/** Like `changeInbox`, but in the caller's transaction. The caller notifies the push nodes after its commit. */
export async function changeLocked(
  client: pg.ClientBase,
  userId: string,
  work: (client: pg.ClientBase, inbox: LockedInbox) => Promise<InboxChange>,
): Promise<{ change: InboxChange; result: InboxResult }> {
  const inbox = await lockInbox(client, userId)
  const change = await work(client, inbox)
  const result = {
    updated: change.updated,
    unreadCount: inbox.unreadCount + change.unread,
    unseenCount: inbox.unseenCount + change.unseen,
    epoch: inbox.epoch,
    modseq: inbox.modseq + change.updated,
  }
  const seenModseq = change.seenModseq ?? inbox.seenModseq
  if (change.updated > 0 || seenModseq !== inbox.seenModseq) await storeInbox(client, inbox, result, seenModseq)
  return { change, result }
}

/**
 * SQL: the inbox `i` of a user, for a `from` clause. While a transaction stays open, PostgreSQL keeps all versions of the row
 * since then. A lookup by `user_id` alone reads them all; this one begins with the newest era, so it reads few.
 */
export function inboxOf(userId: string, lock: '' | 'for update' | 'for update skip locked' = ''): string {
  return `lateral (select ctid as version, * from notify.inbox where user_id = ${userId} order by era desc limit 1 ${lock}) i`
}

/** SQL: the era of a modseq. A statement that sets the one sets the other; a constraint of the table compares them. */
export function eraOf(modseq: string): string {
  return `${modseq} / 8`
}

/** SQL: the condition of an update that `i` is the locked version of the inbox of `w`. */
export const isLocked = 'i.user_id = w.user_id and i.ctid = w.version'

/** Nobody else can replace a locked version, but an update in the same transaction would: then the next one finds nothing. */
export function requireStored(stored: number | null | undefined, inboxes: number): void {
  if (stored !== inboxes) throw new Error('an inbox was stored twice under one lock')
}

/** Converts a lock timeout to INBOX_BUSY, so that the client tries again. */
export function translateBusy(error: unknown): never {
  throw isLockTimeout(error) ? fail('INBOX_BUSY', undefined, { retryAfter: 1, cause: error }) : error
}

async function lockInbox(client: pg.ClientBase, userId: string): Promise<LockedInbox> {
  const { rows } = await client.query<LockedInbox>({
    name: 'lock_inbox',
    text: `select i.user_id as "userId", (select epoch from notify.installation) as epoch, i.modseq::float8 as modseq,
             i.unread_count as "unreadCount", i.unseen_count as "unseenCount", i.seen_modseq::float8 as "seenModseq", i.version
           from ${inboxOf('$1', 'for update')}`,
    values: [userId],
  })
  if (!rows[0]) throw fail('USER_NOT_FOUND')
  return rows[0]
}

async function storeInbox(
  client: pg.ClientBase,
  { userId, version }: LockedInbox,
  inbox: InboxResult,
  seenModseq: number,
): Promise<void> {
  const { rowCount } = await client.query({
    name: 'store_inbox',
    text: `update notify.inbox set modseq = $2, era = ${eraOf('$2::bigint')}, unread_count = $3, unseen_count = $4, seen_modseq = $5
           where user_id = $1 and ctid = $6`,
    values: [userId, inbox.modseq, inbox.unreadCount, inbox.unseenCount, seenModseq, version],
  })
  requireStored(rowCount, 1)
}
