import type pg from 'pg'
import { together } from '../db/transaction.ts'
import type { OutboxEvent } from '../outbox/event.ts'
import {
  type Draft,
  type Inbox,
  keyOfGroup,
  type Loaded,
  NOBODY,
  noWords,
  type OpenWindow,
  type Source,
} from './model.ts'
import { readMutedThreads, readPreferences, readRelations } from './people.ts'
import type { TypeLookup } from './types.ts'

/** What the caller locks for a batch, inboxes last; the statements may be under way. */
type Locks = { goneObjects: Set<string> | Promise<Set<string>>; inboxes: Inboxes | Promise<Inboxes> }
type Inboxes = Map<string, Inbox>

/**
 * Reads what a batch needs to know. To be called when the inboxes are locked or after the statement that locks them was sent:
 * each statement takes its own snapshot after the locks, so that it sees whatever the former holders committed, blocks and
 * preferences among it.
 */
export async function loadForFold(
  client: pg.ClientBase,
  types: TypeLookup,
  locks: Locks,
  events: OutboxEvent[],
): Promise<Loaded> {
  const users = [...new Set(events.map((event) => String(event.recipientId)))]
  const stored = new Map<string, Draft>()
  const [goneObjects, inboxes, preferences, relations, mutedThreads, sourceRows, openGroups, windows] = await together([
    locks.goneObjects,
    locks.inboxes,
    Promise.resolve(locks.inboxes).then((inboxes) => readPreferences(client, users, inboxes)),
    readRelations(client, events),
    readMutedThreads(client, events),
    readSources(client, users, events),
    readOpenGroups(client, groupsOf(events), stored),
    readWindows(client, events, types),
  ])
  await readNotifications(client, users, sourceRows, stored)
  const sources = new Map(sourceRows.map((row) => [`${row.userId} ${row.sourceId}`, toSource(row, stored)]))
  await readLiveSources(client, users, events, sources, openGroups)
  return { types, inboxes, sources, openGroups, windows, relations, mutedThreads, preferences, goneObjects }
}

/**
 * Joins the rows of a table to each row before it by an index look-up of its own (`offset 0` keeps the planner from another
 * join): where it believes that an inbox holds few rows, it reads whole inboxes for a batch that needs one row of each.
 */
function oneByOne(lookup: string, name: string): string {
  return `cross join lateral (select ${name}.* from ${lookup} offset 0) ${name}`
}

type SourceRow = Omit<Source, 'draft' | 'goneNotificationId'> & { notificationId: number | null }

async function readSources(client: pg.ClientBase, users: string[], events: OutboxEvent[]): Promise<SourceRow[]> {
  const { rows } = await client.query<SourceRow>({
    name: 'sources_of_batch',
    text: `select s.user_id as "userId", s.source_id as "sourceId", s.event_id::float8 as "eventId",
             s.notification_id::float8 as "notificationId", s.actor_id as "actorId", s.live, s.notified,
             s.waits_for as "waitsFor", nullif(s.waits_filter, 'none') as "waitsFilter", s.decision, s.decided_by as "decidedBy", s.silent
           from (select distinct u, s from unnest($1::bigint[], $2::text[]) w (u, s)) w
           ${oneByOne('notify.sources s where s.user_id = w.u and s.source_id = w.s', 's')}
           where s.user_id = any($3::bigint[])`,
    values: [events.map((event) => event.recipientId), events.map((event) => event.sourceId), users],
  })
  return rows
}

const draftColumns = `n.user_id as "userId", n.id::float8 as id, n.grown_modseq::float8 as "grownModseq", n.type, n.priority,
  n.group_key as "groupKey", n.thread_key as "threadKey", n.object_type as "objectType", n.object_id as "objectId", n.data,
  n.silent, n.filter_reason as "filterReason",
  n.actor_ids::text[] as "actorIds", n.followed_actors as "followedActors", n.actor_count as "actorCount", n.read_at is not null as read,
  n.archived_at is not null as archived, n.filtered, n.closed_at is null and n.created_at > now() - interval '24 hours' as open,
  n.closed_at is null and n.created_at <= now() - interval '24 hours' as "expiredGroup"`

/** The notifications of these users that meet `condition` over `n`, with `value` as $2. Their inboxes are locked. */
export async function loadDrafts(
  client: pg.ClientBase,
  users: string[],
  condition: string,
  value: unknown,
): Promise<Draft[]> {
  const { rows } = await client.query<DraftRow>(
    `select ${draftColumns} from notify.notifications n where n.user_id = any($1::bigint[]) and ${condition} order by n.user_id, n.modseq`,
    [users, value],
  )
  return rows.map((row) => toDraft(row, new Map()))
}

type DraftRow = Omit<Draft, 'sent' | 'requestId' | 'liveSources' | 'changed' | 'grown' | 'removed' | 'actorsIncomplete'>

/** The groups of these users and keys that are not closed yet, shown and filtered ones, by `keyOfGroup`. */
export async function readOpenGroups(
  client: pg.ClientBase,
  groups: { userId: string; groupKey: string }[],
  stored = new Map<string, Draft>(),
): Promise<Map<string, Draft>> {
  if (groups.length === 0) return new Map()
  const { rows } = await client.query<DraftRow>({
    name: 'open_groups_of_batch',
    text: `select ${draftColumns}
           from (select distinct u, g from unnest($1::bigint[], $2::text[]) w (u, g)) w
           ${oneByOne('notify.notifications n where n.user_id = w.u and n.group_key = w.g and n.closed_at is null', 'n')}
           where n.user_id = any($1::bigint[])`,
    values: [groups.map((group) => group.userId), groups.map((group) => group.groupKey)],
  })
  return new Map(rows.map((row) => [keyOfGroup({ ...row, groupKey: String(row.groupKey) }), toDraft(row, stored)]))
}

function groupsOf(events: OutboxEvent[]): { userId: string; groupKey: string }[] {
  return events.flatMap(({ recipientId, groupKey, retracts }) =>
    recipientId !== null && groupKey !== null && !retracts ? [{ userId: recipientId, groupKey }] : [],
  )
}

/** Keys of the groups that gather, among those the batch's events may join. */
async function readWindows(client: pg.ClientBase, events: OutboxEvent[], types: TypeLookup): Promise<Set<string>> {
  const wanted = events.filter(
    (event) => event.groupKey !== null && !event.retracts && types(String(event.type)).windowSeconds > 0,
  )
  if (wanted.length === 0) return new Set()
  const { rows } = await client.query<Pick<OpenWindow, 'userId' | 'groupKey' | 'filterReason'>>({
    name: 'windows_of_batch',
    text: `select x.user_id as "userId", x.group_key as "groupKey", nullif(x.filter, 'none') as "filterReason"
           from (select distinct u, g from unnest($1::bigint[], $2::text[]) w (u, g)) w
           join notify.windows x on x.user_id = w.u and x.group_key = w.g`,
    values: [wanted.map((event) => event.recipientId), wanted.map((event) => event.groupKey)],
  })
  return new Set(rows.map(keyOfGroup))
}

/** The notifications in which the batch's known sources have a part. */
async function readNotifications(
  client: pg.ClientBase,
  users: string[],
  sources: SourceRow[],
  stored: Map<string, Draft>,
): Promise<void> {
  const wanted = sources.filter(
    (row) => row.notificationId !== null && !stored.has(`${row.userId} ${row.notificationId}`),
  )
  if (wanted.length === 0) return
  const { rows } = await client.query<DraftRow>({
    name: 'notifications_of_batch',
    text: `select ${draftColumns}
           from (select distinct u, n from unnest($1::bigint[], $2::bigint[]) w (u, n)) w
           ${oneByOne('notify.notifications n where n.user_id = w.u and n.id = w.n', 'n')}
           where n.user_id = any($3::bigint[])`,
    values: [wanted.map((row) => row.userId), wanted.map((row) => row.notificationId), users],
  })
  for (const row of rows) toDraft(row, stored)
}

/**
 * How many live sources the batch's actors have in the stored notifications they may join or leave, and how many are of nobody:
 * a group that an order and a person speak of stands while one of them does.
 */
async function readLiveSources(
  client: pg.ClientBase,
  users: string[],
  events: OutboxEvent[],
  sources: Map<string, Source>,
  openGroups: Map<string, Draft>,
): Promise<void> {
  const wanted = new Map<string, { draft: Draft; actorId: string }>()
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
           from unnest($1::bigint[], $2::bigint[], $3::bigint[]) w (u, n, a)
           join notify.sources s on s.user_id = w.u and s.notification_id = w.n and s.actor_id = w.a and s.live
           where s.user_id = any($4::bigint[])
           group by s.user_id, s.notification_id, s.actor_id`,
    values: [pairs.map((p) => p.draft.userId), pairs.map((p) => p.draft.id), pairs.map((p) => p.actorId), users],
  })
  for (const { key, sources: count } of rows) {
    const pair = wanted.get(key)
    pair?.draft.liveSources.set(pair.actorId, count)
  }
}

function toDraft(row: DraftRow, stored: Map<string, Draft>): Draft {
  const key = `${row.userId} ${row.id}`
  const draft = stored.get(key) ?? {
    ...row,
    requestId: null,
    sent: noWords,
    liveSources: new Map(),
    changed: false,
    grown: false,
    removed: false,
    actorsIncomplete: false,
  }
  stored.set(key, draft)
  return draft
}

function toSource(row: SourceRow, stored: Map<string, Draft>): Source {
  const { notificationId, ...source } = row
  const draft = stored.get(`${row.userId} ${notificationId}`) ?? null
  return { ...source, draft, goneNotificationId: draft ? null : notificationId }
}
