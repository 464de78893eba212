import type pg from 'pg'
import { fail } from '../../errors.ts'
import { cutPage, decodeCursor } from '../../http/paging.ts'
import { formatState } from '../../protocol/changes.ts'
import type { Notification } from '../../protocol/notification.ts'
import { inboxOf } from './lock.ts'
import { loadShown, type NotificationRow, notificationColumns, type Reader, toNotification } from './view.ts'

/**
 * `all`: the inbox, neither archived nor filtered. `pending`: notifications that no device has acknowledged. `history`:
 * everything except filtered notifications.
 */
export type ListFilter = 'all' | 'unread' | 'archived' | 'filtered' | 'pending' | 'history'

export type ListQuery = { filter: ListFilter; type?: string[]; priority?: string; cursor?: string; limit: number }

export type InboxCounts = { unreadCount: number; unseenCount: number; state: string }

/** All changes up to the acknowledged state have a `delivered_at`, so the scan for `pending` begins there. */
export const conditions: Record<ListFilter, string> = {
  all: 'n.archived_at is null and not n.filtered',
  unread: 'n.read_at is null and n.archived_at is null and not n.filtered',
  archived: 'n.archived_at is not null and not n.filtered',
  filtered: `n.filter_reason = 'strangers' and n.archived_at is null`,
  pending: 'n.grown_modseq > i.acked_modseq and n.delivered_at is null and n.archived_at is null and not n.filtered',
  history: 'not n.filtered',
}

const NO_CURSOR = '9223372036854775807'

/**
 * Reads one page, newest content first, with counts and state of the same snapshot. The cursor is `grown_modseq`, which reading
 * does not change, so it stays valid.
 */
export async function listNotifications(
  reader: Reader,
  userId: string,
  { filter, type, priority, cursor, limit }: ListQuery,
): Promise<{ items: Notification[]; nextCursor: string | null } & InboxCounts> {
  const [before] = decodeCursor(cursor, 1) ?? [NO_CURSOR]
  const { rows } = await reader.pool.query<ListRow>({
    name: `list_${filter}`,
    text: `select i.modseq::float8 as modseq, i.seen_modseq::float8 as "seenModseq", i.unread_count as "unreadCount",
             i.unseen_count as "unseenCount", (select epoch from notify.installation) as epoch, n.*
           from ${inboxOf('$1')}
           left join lateral (
             select ${notificationColumns}
             from notify.notifications n
             where n.user_id = $1 and n.grown_modseq < $2 and ${conditions[filter]}
               and ($3::text[] is null or n.type = any($3)) and ($4::text is null or n.priority = $4)
             order by n.grown_modseq desc limit $5
           ) n on true
           order by n."grownModseq" desc`,
    values: [userId, before, type ?? null, priority ?? null, limit + 1],
  })
  const inbox = rows[0]
  if (!inbox) throw fail('USER_NOT_FOUND')
  const page = cutPage(rows.filter(isItem), limit, (last) => [last.grownModseq])
  const shown = await loadShown(reader, page.items)
  return {
    items: page.items.map((row) => toNotification(row, shown, inbox.seenModseq)),
    nextCursor: page.nextCursor,
    ...toCounts(inbox),
  }
}

type InboxRow = { modseq: number; seenModseq: number; unreadCount: number; unseenCount: number; epoch: string }
type ItemRow = InboxRow & NotificationRow
type ListRow = ItemRow | (InboxRow & { id: null })

function isItem(row: ListRow): row is ItemRow {
  return row.id !== null
}

/**
 * Finds one notification.
 * @throws {AppError} NOTIFICATION_NOT_FOUND
 */
export async function getNotification(reader: Reader, userId: string, id: string): Promise<Notification> {
  const { rows } = await reader.pool.query<NotificationRow & { seenModseq: number }>({
    name: 'get_notification',
    text: `select i.seen_modseq::float8 as "seenModseq", ${notificationColumns}
           from notify.notifications n cross join ${inboxOf('n.user_id')}
           where n.user_id = $1 and n.id = $2`,
    values: [userId, id],
  })
  const row = rows[0]
  if (!row) throw fail('NOTIFICATION_NOT_FOUND')
  return toNotification(row, await loadShown(reader, rows), row.seenModseq)
}

export async function readCounts(pool: pg.Pool, userId: string): Promise<InboxCounts> {
  const { rows } = await pool.query<Omit<InboxRow, 'seenModseq'>>({
    name: 'inbox_counts',
    text: `select i.modseq::float8 as modseq, i.unread_count as "unreadCount", i.unseen_count as "unseenCount",
             (select epoch from notify.installation) as epoch
           from ${inboxOf('$1')}`,
    values: [userId],
  })
  const inbox = rows[0]
  if (!inbox) throw fail('USER_NOT_FOUND')
  return toCounts(inbox)
}

/** The stored counts, and counts of the notifications themselves in the same snapshot. Reads the whole inbox. */
export async function recount(
  pool: pg.Pool,
  userId: string,
): Promise<InboxCounts & { recounted: Pick<InboxCounts, 'unreadCount' | 'unseenCount'> }> {
  const { rows } = await pool.query<Omit<InboxRow, 'seenModseq'> & { unread: number; unseen: number }>({
    name: 'inbox_recounted',
    text: `select i.modseq::float8 as modseq, i.unread_count as "unreadCount", i.unseen_count as "unseenCount",
             (select epoch from notify.installation) as epoch, c.unread, c.unseen
           from ${inboxOf('$1')}
           cross join lateral (
             select count(*) filter (where n.read_at is null)::int as unread,
               count(*) filter (where n.read_at is null and n.grown_modseq > i.seen_modseq)::int as unseen
             from notify.notifications n
             where n.user_id = $1 and n.archived_at is null and not n.filtered
           ) c`,
    values: [userId],
  })
  const inbox = rows[0]
  if (!inbox) throw fail('USER_NOT_FOUND')
  return { ...toCounts(inbox), recounted: { unreadCount: inbox.unread, unseenCount: inbox.unseen } }
}

/** The counts and the state of an inbox, as in responses. */
export function toCounts(inbox: {
  epoch: string
  modseq: number
  unreadCount: number
  unseenCount: number
}): InboxCounts {
  return {
    unreadCount: inbox.unreadCount,
    unseenCount: inbox.unseenCount,
    state: formatState(inbox.epoch, inbox.modseq),
  }
}
