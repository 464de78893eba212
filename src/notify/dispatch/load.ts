import type pg from 'pg'
import { columns, hiddenIds, oneByOne } from '../../db/columns.ts'
import { type Sent, together } from '../../db/transaction.ts'
import type { OutboxEvent } from '../outbox/event.ts'
import { readPreferences, readRelations } from '../rules/relations.ts'
import type { TypeLookup } from '../types/types.ts'
import { type Draft, type Inbox, keyOfGroup, type Loaded, NOBODY, type OpenWindow, type Source } from './model.ts'
import { readNotifications, readOpenGroups } from './read-drafts.ts'

/** The locks that the caller has sent for a batch, inboxes last. */
type Locks = { goneEvents: Sent<Set<OutboxEvent>>; inboxes: Sent<Map<string, Inbox>> }

/**
 * Reads what a batch needs. Sends the reads behind the locks, without waiting for them. Each statement takes its
 * snapshot after the locks, so it sees everything that former lock holders committed, including blocks and preferences.
 */
export async function loadForFold(
  client: pg.ClientBase,
  types: TypeLookup,
  locks: Locks,
  events: OutboxEvent[],
): Promise<Loaded> {
  const users = [...new Set(events.map((event) => String(event.recipientId)))]
  const stored = new Map<string, Draft>()
  const sent = {
    ...locks,
    preferences: locks.inboxes.then((inboxes) => readPreferences(client, users, inboxes)),
    relations: readRelations(client, events),
    sourceRows: readSources(client, users, events),
    openGroups: readOpenGroups(client, groupsOf(events), stored),
    windows: readWindows(client, events, types),
    expired: readExpired(client, events),
  }
  await together(Object.values<Sent<unknown>>(sent))
  const [sourceRows, openGroups] = [await sent.sourceRows, await sent.openGroups]
  await readNotifications(client, users, sourceRows, stored)
  const sources = new Map(sourceRows.map((row) => [`${row.userId} ${row.sourceId}`, toSource(row, stored)]))
  await readLiveSources(client, users, events, sources, openGroups)
  return {
    types,
    sources,
    openGroups,
    goneEvents: await sent.goneEvents,
    inboxes: await sent.inboxes,
    preferences: await sent.preferences,
    ...(await sent.relations),
    windows: await sent.windows,
    expired: await sent.expired,
  }
}

type SourceRow = Omit<Source, 'draft' | 'goneNotificationId' | 'known'> & { notificationId: number | null }

async function readSources(client: pg.ClientBase, users: string[], events: OutboxEvent[]): Promise<SourceRow[]> {
  const { rows } = await client.query<SourceRow>({
    name: 'sources_of_batch',
    text: `select s.user_id as "userId", s.source_id as "sourceId", s.event_id::float8 as "eventId",
             s.notification_id::float8 as "notificationId", s.actor_id as "actorId", s.live, s.notified,
             s.waits_for as "waitsFor", nullif(s.waits_filter, 'none') as "waitsFilter", s.decision, s.decided_by as "decidedBy", s.silent
           from (select distinct user_id, source_id from ${eventSources.from}) w
           ${oneByOne('notify.sources s where s.user_id = w.user_id and s.source_id = w.source_id', 's')}
           where s.user_id = any(${hiddenIds(eventSources.next)})`,
    values: [...eventSources.values(events), users],
  })
  return rows
}

const eventSources = columns<OutboxEvent>(
  {
    user_id: ['bigint', (event) => event.recipientId],
    source_id: ['text', (event) => event.sourceId],
  },
  { hidden: true },
)

function groupsOf(events: OutboxEvent[]): { userId: string; groupKey: string }[] {
  return events.flatMap(({ recipientId, groupKey, retracts }) =>
    recipientId !== null && groupKey !== null && !retracts ? [{ userId: recipientId, groupKey }] : [],
  )
}

/** Keys of the open windows among the groups that the batch's events may join. */
async function readWindows(client: pg.ClientBase, events: OutboxEvent[], types: TypeLookup): Promise<Set<string>> {
  const wanted = events.filter(
    (event) => event.groupKey !== null && !event.retracts && types(String(event.type)).windowSeconds > 0,
  )
  if (wanted.length === 0) return new Set()
  const { rows } = await client.query<Pick<OpenWindow, 'userId' | 'groupKey' | 'filterReason'>>({
    name: 'windows_of_batch',
    text: `select x.user_id as "userId", x.group_key as "groupKey", nullif(x.filter, 'none') as "filterReason"
           from (select distinct user_id, group_key from ${gathering.from}) w
           join notify.windows x on x.user_id = w.user_id and x.group_key = w.group_key`,
    values: gathering.values(wanted),
  })
  return new Set(rows.map(keyOfGroup))
}

const gathering = columns<OutboxEvent>(
  {
    user_id: ['bigint', (event) => event.recipientId],
    group_key: ['text', (event) => event.groupKey],
  },
  { hidden: true },
)

/** Finds sends whose expiry passed while they waited, for example in a backlog. They notify nobody. */
async function readExpired(client: pg.ClientBase, events: OutboxEvent[]): Promise<Set<number>> {
  const sends = events.filter(({ action, data, retracts }) => action === 'send' && !retracts && data.expiresAt != null)
  if (sends.length === 0) return new Set()
  const { rows } = await client.query<{ id: number }>({
    name: 'expired_sends_of_batch',
    text: `select w.id::float8 as id from ${expiring.from} where w.expires_at <= now()`,
    values: expiring.values(sends),
  })
  return new Set(rows.map(({ id }) => id))
}

const expiring = columns<OutboxEvent>({
  id: ['bigint', (event) => event.id],
  expires_at: ['timestamptz', (event) => event.data.expiresAt],
})

/**
 * Number of live sources that the batch's actors have in the stored notifications they may join or leave, and number of
 * sources without an actor. A group exists while it has at least one of either.
 */
async function readLiveSources(
  client: pg.ClientBase,
  users: string[],
  events: OutboxEvent[],
  sources: Map<string, Source>,
  openGroups: Map<string, Draft>,
): Promise<void> {
  const wanted = new Map<string, Joined>()
  const want = (draft: Draft | null | undefined, ...actors: string[]) => {
    if (draft) for (const actorId of actors) wanted.set(`${draft.userId} ${draft.id} ${actorId}`, { draft, actorId })
  }
  for (const event of events) {
    const source = sources.get(`${event.recipientId} ${event.sourceId}`)
    const actorId = event.actorId ?? NOBODY
    want(source?.draft, actorId, source?.actorId ?? NOBODY, NOBODY)
    if (event.groupKey === null) continue
    for (const filterReason of [null, 'strangers', 'otherChannels'] as const)
      want(
        openGroups.get(keyOfGroup({ userId: String(event.recipientId), groupKey: event.groupKey, filterReason })),
        actorId,
        NOBODY,
      )
  }
  if (wanted.size === 0) return
  const pairs = [...wanted.values()]
  const { rows } = await client.query<{ key: string; sources: number }>({
    name: 'live_sources_of_batch',
    text: `select concat_ws(' ', s.user_id, s.notification_id, s.actor_id) as key, count(*)::int as sources
           from ${joined.from}
           join notify.sources s on s.user_id = w.user_id and s.notification_id = w.notification_id and s.actor_id = w.actor_id and s.live
           where s.user_id = any(${hiddenIds(joined.next)})
           group by s.user_id, s.notification_id, s.actor_id`,
    values: [...joined.values(pairs), users],
  })
  for (const { key, sources: count } of rows) {
    const pair = wanted.get(key)
    pair?.draft.liveSources.set(pair.actorId, count)
  }
}

type Joined = { draft: Draft; actorId: string }

const joined = columns<Joined>(
  {
    user_id: ['bigint', ({ draft }) => draft.userId],
    notification_id: ['bigint', ({ draft }) => draft.id],
    actor_id: ['bigint', ({ actorId }) => actorId],
  },
  { hidden: true },
)

/** Converts a row. A source whose notification no longer exists counts as ended, even if its row has not ended yet. */
function toSource(row: SourceRow, stored: Map<string, Draft>): Source {
  const { notificationId, ...source } = row
  const draft = stored.get(`${row.userId} ${notificationId}`) ?? null
  return {
    ...source,
    draft,
    live: source.live && draft !== null,
    goneNotificationId: draft ? null : notificationId,
    known: true,
  }
}
