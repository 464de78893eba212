import { columns } from '../../db/columns.ts'
import type { Changes } from '../../protocol/changes.ts'
import type { Notification } from '../../protocol/notification.ts'
import { formatState } from '../../protocol/state.ts'
import { loadShown, type NotificationRow, notificationColumns, type Reader, toNotification } from './view.ts'

/** Changes of one user between the modseqs `from` and `to`, and the inbox as it stood in the same snapshot. */
export type InboxChanges = {
  epoch: string
  /** The inbox's modseq; `to` is the same unless `more`. */
  modseq: number
  /** A state below it cannot be resumed: tombstones are missing. */
  floor: number
  from: number
  to: number
  more: boolean
  upserts: Notification[]
  /** Of the requests behind the upserts, for the log. */
  requestIds: string[]
  removes: string[]
  unreadCount: number
  unseenCount: number
  ackedModseq: number
}

/**
 * What one user wants: at most `limit` changes after the modseq `since`, and no more than begin within `octets` of data and
 * of words, which the fallback repeats, so one at least. One request per user in a call.
 */
export type ChangesRequest = { userId: string; since: number; limit: number; octets?: number }

/** Two hundred ordinary notifications, or the twelve largest that a send can make. */
export const MAX_OCTETS = 256 * 1024

/** Of 200 characters, many of them letters of the Latin script, and of the fallback that repeats them. */
const PREVIEW_OCTETS = 600

/**
 * What changed in these inboxes, in one statement and so of one snapshot; users without inbox are left out.
 * Makes no judgement of `since`: the caller compares it with `epoch`, `modseq` and `floor` of the answer.
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

/** The contract's object for these changes. */
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

/** `found`: changes up to one more than the limit, those that are cut for their size among them. */
type Found = { found: number | null }
type UpsertRow = InboxRow & Found & { changeModseq: number; changeId: string; removed: false } & NotificationRow
type ChangeRow =
  | UpsertRow
  | (InboxRow & Found & { changeModseq: number; changeId: string; removed: true })
  | (InboxRow & Found & { changeModseq: null; changeId: null; removed: null })

function isUpsert(row: ChangeRow): row is UpsertRow {
  return row.removed === false
}

const asked = columns<ChangesRequest>({
  user_id: ['bigint', ({ userId }) => userId],
  since: ['bigint', ({ since }) => since],
  lim: ['int', ({ limit }) => limit],
  octets: ['int', ({ octets = MAX_OCTETS }) => octets],
})

/**
 * A notification travels through the union as a whole row, so that it is read once, by the index on its modseq; both arms
 * stop after limit + 1, the one more tells whether there is more. What begins beyond `octets` is left for the next read. A row per user comes also when nothing changed.
 */
const changesStatement = `
  select i.user_id as "userId", (select epoch from notify.installation) as epoch,
         i.modseq::float8 as modseq, i.floor_modseq::float8 as floor,
         i.unread_count as "unreadCount", i.unseen_count as "unseenCount",
         i.acked_modseq::float8 as "ackedModseq", i.seen_modseq::float8 as "seenModseq",
         c.modseq::float8 as "changeModseq", c.id as "changeId", c.removed, c.found::int as found, ${notificationColumns}
  from ${asked.from}
  join notify.inbox i on i.user_id = w.user_id
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
  where i.user_id = any($1::bigint[])
  order by i.user_id, c.modseq`
