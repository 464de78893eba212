import type pg from 'pg'
import { encodeChangedInboxes, INBOX_CHANNEL } from '../../base/wake-ups.ts'
import { columns } from '../../db/columns.ts'
import { notify } from '../../db/listener.ts'
import { type Sent, together } from '../../db/transaction.ts'
import { appendToLog, logOf } from '../delivery-log/append.ts'
import { eraOf, isLocked, requireStored } from '../inbox/lock.ts'
import type { TypeLookup } from '../types/types.ts'
import { queueChanges } from '../webhooks/queue.ts'
import { hurryWindows, openWindows } from '../windows/rows.ts'
import type { Draft, Folded, Inbox, Source } from './model.ts'
import {
  closeExpiredGroups,
  completeActors,
  completeComments,
  insertNotifications,
  storeRemovals,
  updateNotifications,
} from './write-notifications.ts'

/**
 * Stores the result of folding: numbers the changes of each inbox without gaps, sets its counts, writes notifications,
 * sources and tombstones, and notifies the push nodes. The inboxes are locked, so absolute values are correct.
 * The sources of a removed notification get `removedBecause` as their decision.
 */
export async function storeFolded(
  client: pg.ClientBase,
  types: TypeLookup,
  inboxes: Map<string, Inbox>,
  folded: Folded,
  removedBecause = 'retracted',
): Promise<void> {
  const changes = numberChanges(folded.drafts, inboxes)
  const removed = changes.filter(({ draft }) => draft.removed)
  const created = changes.filter(({ born }) => born)
  const updated = changes.filter(({ draft, born }) => !draft.removed && !born)
  await together([
    storeInboxes(client, changes),
    closeExpiredGroups(client, folded.expiredGroups),
    storeRemovals(client, removed, removedBecause),
    insertNotifications(client, types, created),
    storeSources(client, folded.sources),
    appendToLog(client, logOf(folded)),
    openWindows(client, folded.windows),
    hurryWindows(client, folded.drafts),
    queueChanges(client, changes),
    updateCompleted(client, types, updated),
  ])
}

async function updateCompleted(client: pg.ClientBase, types: TypeLookup, updated: Change[]): Promise<void> {
  await together([completeActors(client, types, updated), completeComments(client, updated)])
  await updateNotifications(client, types, updated)
}

/** Removes stored notifications of these locked inboxes. Otherwise like `storeFolded`. */
export async function storeRemoved(
  client: pg.ClientBase,
  types: TypeLookup,
  inboxes: Map<string, Inbox>,
  drafts: Draft[],
  because: string,
): Promise<void> {
  for (const draft of drafts) {
    draft.changed = true
    draft.removed = true
  }
  await storeFolded(client, types, inboxes, { drafts, expiredGroups: [], sources: [], windows: [] }, because)
}

/** Also sends the hints to the push nodes, because each statement of its own delays a batch. */
async function storeInboxes(client: pg.ClientBase, changes: Change[]): Promise<void> {
  const inboxes = inboxesOf(changes)
  if (inboxes.length === 0) return
  const { rows } = await client.query<{ stored: number }>({
    name: 'store_inboxes',
    text: storeStatement,
    values: [
      ...moved.values(inboxes),
      encodeChangedInboxes(new Map(inboxes.map((inbox) => [inbox.userId, inbox.modseq]))),
    ],
  })
  requireStored(rows[0]?.stored, inboxes.length)
}

const moved = columns<Inbox>(
  {
    user_id: ['bigint', (inbox) => inbox.userId],
    version: ['tid', (inbox) => inbox.version],
    modseq: ['bigint', (inbox) => inbox.modseq],
    unread: ['int', (inbox) => inbox.unread],
    unseen: ['int', (inbox) => inbox.unseen],
    grown_at: ['float8', (inbox) => inbox.grownAt],
  },
  { hidden: true },
)

const storeStatement = `
  with stored as (
    update notify.inbox i set modseq = w.modseq, era = ${eraOf('w.modseq')}, unread_count = w.unread, unseen_count = w.unseen,
      grown_at = to_timestamp(w.grown_at / 1000)
    from ${moved.from}
    where ${isLocked}
    returning i.user_id
  )
  select (select count(*)::int from stored) as stored,
    (select count(pg_notify('${INBOX_CHANNEL}', payload)) from unnest(${moved.next}::text[]) h (payload)) as hints`

/**
 * Writes a row for each decided event. Inserts new rows without `on conflict`, which would cost a quarter more. That is
 * safe, because only a transaction that has locked the inbox inserts sources, and it has read the existing ones.
 */
async function storeSources(client: pg.ClientBase, sources: Source[]): Promise<void> {
  const [known, added] = [sources.filter((source) => source.known), sources.filter((source) => !source.known)]
  const sent: Sent<unknown>[] = []
  if (added.length > 0)
    sent.push(client.query({ name: 'add_sources', text: addSources, values: decided.values(added) }))
  if (known.length > 0)
    sent.push(client.query({ name: 'store_sources', text: storeSourcesStatement, values: decided.values(known) }))
  await together(sent)
}

const decided = columns<Source>({
  user_id: ['bigint', (source) => source.userId],
  source_id: ['text', (source) => source.sourceId],
  event_id: ['bigint', (source) => source.eventId],
  notification_id: ['bigint', ({ draft, goneNotificationId }) => (draft ? draft.id || null : goneNotificationId)],
  actor_id: ['bigint', (source) => source.actorId],
  live: ['boolean', (source) => source.live],
  notified: ['boolean', (source) => source.notified],
  waits_for: ['text', (source) => source.waitsFor],
  waits_filter: ['text', (source) => source.waitsFilter ?? 'none'],
  decision: ['text', (source) => source.decision],
  decided_by: ['text', (source) => source.decidedBy],
  silent: ['boolean', (source) => source.silent],
})

const addSources = `
  insert into notify.sources (
    user_id,
    source_id,
    event_id,
    notification_id,
    actor_id,
    live,
    notified,
    waits_for,
    waits_filter,
    decision,
    decided_by,
    silent
  )
  select * from ${decided.from}`

/** Retention may have deleted a row since. The condition on event_id makes repeats and late retries harmless. */
const storeSourcesStatement = `${addSources}
  on conflict (user_id, source_id) do update
  set event_id = excluded.event_id,
      actor_id = excluded.actor_id,
      notification_id = excluded.notification_id,
      live = excluded.live,
      notified = excluded.notified,
      waits_for = excluded.waits_for,
      waits_filter = excluded.waits_filter,
      decision = excluded.decision,
      decided_by = excluded.decided_by,
      silent = excluded.silent,
      decided_at = excluded.decided_at
  where sources.event_id < excluded.event_id`

/** Sends the hint in the same transaction, so that it arrives with the commit and no change waits for a poll. */
export function notifyPushNodes(client: pg.ClientBase, modseqByUser: Map<string, number>): Promise<void> {
  return notify(client, INBOX_CHANNEL, encodeChangedInboxes(modseqByUser))
}

/** One change of one inbox: the notification and the modseq of the change. */
export type Change = { draft: Draft; inbox: Inbox; modseq: number; born: boolean }

/**
 * Numbers the changes of each inbox without gaps, in the order of these drafts, and moves its counts. A notification
 * that came and went within one batch is not a change.
 */
export function numberChanges(drafts: Draft[], inboxes: Map<string, Inbox>): Change[] {
  return drafts
    .filter((draft) => draft.changed && (draft.id !== 0 || !draft.removed))
    .flatMap((draft) => numberChange(draft, inboxes.get(draft.userId)))
}

/**
 * Assigns a modseq to a change. Moves the inbox's counts by the difference between the notification's counts before and
 * now.
 */
function numberChange(draft: Draft, inbox: Inbox | undefined): Change[] {
  if (!inbox) return []
  const born = draft.id === 0
  const [unreadBefore, unseenBefore] = born ? [0, 0] : countsOf(draft, inbox)
  inbox.modseq += 1
  if (born) draft.id = inbox.modseq
  if (born || draft.grown) {
    draft.grownModseq = inbox.modseq
    inbox.grownAt += 1
    draft.grownAt = inbox.grownAt
  }
  const [unread, unseen] = draft.removed ? [0, 0] : countsOf(draft, inbox)
  inbox.unread += unread - unreadBefore
  inbox.unseen += unseen - unseenBefore
  return [{ draft, inbox, modseq: inbox.modseq, born }]
}

function countsOf(draft: Draft, inbox: Inbox): [unread: number, unseen: number] {
  if (draft.archived || draft.filtered || draft.read) return [0, 0]
  return [1, draft.grownModseq > inbox.seenModseq ? 1 : 0]
}

export function inboxesOf(changes: Change[]): Inbox[] {
  return [...new Set(changes.map(({ inbox }) => inbox))]
}
