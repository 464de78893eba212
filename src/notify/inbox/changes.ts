import { columns } from '../../db/columns.ts'
import { type Changes, formatState } from '../../protocol/changes.ts'
import type { Notification } from '../../protocol/notification.ts'
import { inboxOf } from './lock.ts'
import { loadShown, type NotificationRow, notificationColumns, type Reader, toNotification } from './view.ts'

/** Changes of one user between the modseqs `from` and `to`, and the inbox in the same snapshot. */
export type InboxChanges = {
  epoch: string
  /** The modseq of the inbox. It is above `to` only if there are `more` changes. */
  modseq: number
  /** A client with a lower state must fetch its list again, because tombstones were purged. */
  floor: number
  from: number
  to: number
  more: boolean
  upserts: Notification[]
  /** Request ids that caused the upserts, for the log. */
  requestIds: string[]
  removes: string[]
  unreadCount: number
  unseenCount: number
  ackedModseq: number
}

/**
 * Request for at most `limit` changes of a user after the modseq `since`. Ends before a change that begins beyond `octets` of
 * data and texts, but includes at least one. A call contains at most one request per user.
 */
export type ChangesRequest = { userId: string; since: number; limit: number; octets?: number }

/**
 * Maximum size of an answer in bytes. Fits two hundred ordinary notifications, or the twelve largest that a send can
 * create.
 */
export const MAX_OCTETS = 256 * 1024

/** Estimated bytes of a preview: 200 characters, mostly Latin letters, and the fallback text that repeats them. */
const PREVIEW_OCTETS = 600

/**
 * Reads the changes of these inboxes in one statement, so from one snapshot. Omits users without an inbox. Does not validate
 * `since`: the caller compares it with `epoch`, `modseq` and `floor`.
 */
export async function changesSince(reader: Reader, requests: ChangesRequest[]): Promise<Map<string, InboxChanges>> {
  if (requests.length === 0) return new Map()
  const { rows } = await reader.pool.query<ChangeRow>({
    name: 'changes_since',
    text: changesStatement,
    values: asked.values(requests),
  })
  const rowsByUser = Map.groupBy(rows, (row) => row.userId)
  const upserts = rows.filter(isUpsert)
  const shownWith = await loadShown(reader, upserts)
  const answer = new Map<string, InboxChanges>()
  for (const { userId, since, limit } of requests) {
    const ofUser = rowsByUser.get(userId)
    const inbox = ofUser?.[0]
    if (!ofUser || !inbox) continue
    const changed = ofUser.filter((row) => row.changeModseq !== null)
    const shown = changed.slice(0, limit)
    const more = shown.length < (inbox.found ?? 0)
    answer.set(userId, {
      epoch: inbox.epoch,
      modseq: inbox.modseq,
      floor: inbox.floor,
      from: since,
      to: more ? (shown.at(-1)?.changeModseq ?? since) : inbox.modseq,
      more,
      upserts: shown.filter(isUpsert).map((row) => toNotification(row, shownWith, inbox.seenModseq)),
      requestIds: [...new Set(shown.filter(isUpsert).flatMap((row) => row.requestId ?? []))],
      removes: shown.flatMap((row) => (row.removed && row.changeId !== null ? [row.changeId] : [])),
      unreadCount: inbox.unreadCount,
      unseenCount: inbox.unseenCount,
      ackedModseq: inbox.ackedModseq,
    })
  }
  return answer
}

/** Converts changes to the type of the API. */
export function toChanges(changes: InboxChanges): Changes {
  const { epoch, from, to, more, upserts, removes, unreadCount, unseenCount } = changes
  const counts = more ? {} : { unreadCount, unseenCount }
  return { from: formatState(epoch, from), to: formatState(epoch, to), more, upserts, removes, ...counts }
}

type InboxRow = {
  userId: string
  epoch: string
  modseq: number
  floor: number
  unreadCount: number
  unseenCount: number
  ackedModseq: number
  seenModseq: number
}

/** `found`: number of changes read, at most limit + 1, including those beyond `octets`. */
type Found = { found: number | null }
type UpsertRow = InboxRow & Found & { changeModseq: number; changeId: string; removed: false } & NotificationRow
type ChangeRow =
  | UpsertRow
  | (InboxRow & Found & { changeModseq: number; changeId: string; removed: true })
  | (InboxRow & Found & { changeModseq: null; changeId: null; removed: null })

function isUpsert(row: ChangeRow): row is UpsertRow {
  return row.removed === false
}

const asked = columns<ChangesRequest>(
  {
    user_id: ['bigint', ({ userId }) => userId],
    since: ['bigint', ({ since }) => since],
    lim: ['int', ({ limit }) => limit],
    octets: ['int', ({ octets = MAX_OCTETS }) => octets],
  },
  { hidden: true },
)

/**
 * Carries each notification through the union as a whole row, so that it is read once, by the index on its modseq. Both arms
 * read up to limit + 1 rows; the extra row shows that there are more. Returns a row per user even without changes.
 */
const changesStatement = `
  select i.user_id as "userId", (select epoch from notify.installation) as epoch,
         i.modseq::float8 as modseq, i.floor_modseq::float8 as floor,
         i.unread_count as "unreadCount", i.unseen_count as "unseenCount",
         i.acked_modseq::float8 as "ackedModseq", i.seen_modseq::float8 as "seenModseq",
         c.modseq::float8 as "changeModseq", c.id as "changeId", c.removed, c.found::int as found, ${notificationColumns}
  from ${asked.from}
  cross join ${inboxOf('w.user_id')}
  left join lateral (
    select * from (
      select page.*, count(*) over () as found, sum(octets) over (order by modseq) - octets as before
      from (
        select * from (
          (select n.modseq, n.id, false as removed, n as notification,
             2 * octet_length(concat(n.title, n.body)) + octet_length(n.data::text)
               + case when n.thread_key is null then 0 else ${PREVIEW_OCTETS} end as octets
           from notify.notifications n
           where n.user_id = w.user_id and n.modseq > w.since and not n.filtered
           order by n.modseq limit w.lim + 1)
          union all
          (select t.modseq, t.id, true, null::notify.notifications, 0
           from notify.tombstones t
           where t.user_id = w.user_id and t.modseq > w.since
           order by t.modseq limit w.lim + 1)
        ) both_kinds
        order by modseq limit w.lim + 1
      ) page
    ) measured
    where before < w.octets
  ) c on true
  left join lateral (select (c.notification).*) n on true
  order by i.user_id, c.modseq`
