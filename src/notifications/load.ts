import type pg from 'pg'
import type { OutboxEvent } from '../outbox/event.ts'
import { type Draft, type Inbox, type Loaded, NOBODY, objectsOf, type Source } from './fold.ts'

/**
 * Reads what a batch needs to know. To be called with the inboxes locked: each statement takes its own snapshot after
 * the locks, so that it sees whatever the former holders committed, blocks among it.
 */
export async function loadForFold(
  client: pg.ClientBase,
  events: OutboxEvent[],
  goneObjects: Set<string>,
): Promise<Loaded> {
  const users = [...new Set(events.map((event) => String(event.recipientId)))]
  const blocked = await readBlocks(client, events)
  const sourceRows = await readSources(client, users, events)
  const stored = new Map<string, Draft>()
  const openGroups = await readOpenGroups(client, users, events, stored)
  await readNotifications(client, users, sourceRows, stored)
  const sources = new Map(sourceRows.map((row) => [`${row.userId} ${row.sourceId}`, toSource(row, stored)]))
  await readLiveSources(client, users, events, sources, openGroups)
  return { sources, openGroups, blocked, goneObjects }
}

/** Locks the inboxes of these users in the order of their ids; those that do not exist are not in the answer. */
export async function lockInboxes(
  client: pg.ClientBase,
  userIds: string[],
  skipLocked: boolean,
): Promise<Map<string, Inbox>> {
  const { rows } = await client.query<Inbox>({
    name: skipLocked ? 'lock_free_inboxes' : 'lock_inboxes',
    text: `select user_id as "userId", modseq::float8 as modseq, unread_count as unread, unseen_count as unseen,
             seen_modseq::float8 as "seenModseq"
           from notify.inbox where user_id = any($1::bigint[]) order by user_id for update ${skipLocked ? 'skip locked' : ''}`,
    values: [userIds],
  })
  return new Map(rows.map((row) => [row.userId, row]))
}

/**
 * The posts and comments among these that are deleted or gone. They are locked `for key share`, so that a deletion either
 * waits for this batch, and retracts what it wrote, or is seen here.
 */
export async function findGoneObjects(client: pg.ClientBase, events: OutboxEvent[]): Promise<Set<string>> {
  const wanted = new Set(events.filter((event) => !event.retracts).flatMap(objectsOf))
  const gone = new Set(wanted)
  for (const table of ['post', 'comment'] as const) {
    const ids = [...wanted].filter((key) => key.startsWith(`${table}:`)).map((key) => key.slice(table.length + 1))
    if (ids.length === 0) continue
    const { rows } = await client.query<{ id: string }>({
      name: `standing_${table}s`,
      text: `select id from social.${table}s where id = any($1::bigint[]) and deleted_at is null order by id for key share`,
      values: [ids],
    })
    for (const { id } of rows) gone.delete(`${table}:${id}`)
  }
  return gone
}

/** Pairs `recipient actor` of whom one blocks the other. */
async function readBlocks(client: pg.ClientBase, events: OutboxEvent[]): Promise<Set<string>> {
  const pairs = events.filter((event) => event.actorId !== null && !event.retracts)
  if (pairs.length === 0) return new Set()
  const { rows } = await client.query<{ userId: string; actorId: string }>({
    name: 'blocks_between',
    text: `select w.u as "userId", w.a as "actorId" from unnest($1::bigint[], $2::bigint[]) w (u, a)
             join social.blocks b on b.user_id = w.u and b.other_id = w.a
           union
           select w.u, w.a from unnest($1::bigint[], $2::bigint[]) w (u, a)
             join social.blocks b on b.user_id = w.a and b.other_id = w.u`,
    values: [pairs.map((event) => event.recipientId), pairs.map((event) => event.actorId)],
  })
  return new Set(rows.map((row) => `${row.userId} ${row.actorId}`))
}

type SourceRow = {
  userId: string
  sourceId: string
  eventId: number
  notificationId: number | null
  actorId: string
  live: boolean
  notified: boolean
  decision: string
}

async function readSources(client: pg.ClientBase, users: string[], events: OutboxEvent[]): Promise<SourceRow[]> {
  const { rows } = await client.query<SourceRow>({
    name: 'sources_of_batch',
    text: `select s.user_id as "userId", s.source_id as "sourceId", s.event_id::float8 as "eventId",
             s.notification_id::float8 as "notificationId", s.actor_id as "actorId", s.live, s.notified, s.decision
           from (select distinct u, s from unnest($1::bigint[], $2::text[]) w (u, s)) w
           join notify.sources s on s.user_id = w.u and s.source_id = w.s
           where s.user_id = any($3::bigint[])`,
    values: [events.map((event) => event.recipientId), events.map((event) => event.sourceId), users],
  })
  return rows
}

const draftColumns = `n.user_id as "userId", n.id::float8 as id, n.grown_modseq::float8 as "grownModseq", n.type,
  n.group_key as "groupKey", n.thread_key as "threadKey", n.object_type as "objectType", n.object_id as "objectId", n.data,
  n.actor_ids::text[] as "actorIds", n.actor_count as "actorCount", n.read_at is not null as read,
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

type DraftRow = Omit<Draft, 'requestId' | 'liveSources' | 'changed' | 'grown' | 'removed' | 'actorsIncomplete'>

async function readOpenGroups(
  client: pg.ClientBase,
  users: string[],
  events: OutboxEvent[],
  stored: Map<string, Draft>,
): Promise<Map<string, Draft>> {
  const grouped = events.filter((event) => event.groupKey !== null && !event.retracts)
  if (grouped.length === 0) return new Map()
  const { rows } = await client.query<DraftRow>({
    name: 'open_groups_of_batch',
    text: `select ${draftColumns}
           from (select distinct u, g from unnest($1::bigint[], $2::text[]) w (u, g)) w
           join notify.notifications n on n.user_id = w.u and n.group_key = w.g and n.closed_at is null
           where n.user_id = any($3::bigint[])`,
    values: [grouped.map((event) => event.recipientId), grouped.map((event) => event.groupKey), users],
  })
  return new Map(rows.map((row) => [`${row.userId} ${row.groupKey}`, toDraft(row, stored)]))
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
           join notify.notifications n on n.user_id = w.u and n.id = w.n
           where n.user_id = any($3::bigint[])`,
    values: [wanted.map((row) => row.userId), wanted.map((row) => row.notificationId), users],
  })
  for (const row of rows) toDraft(row, stored)
}

/** How many live sources the batch's actors have in the stored notifications they may join or leave. */
async function readLiveSources(
  client: pg.ClientBase,
  users: string[],
  events: OutboxEvent[],
  sources: Map<string, Source>,
  openGroups: Map<string, Draft>,
): Promise<void> {
  const wanted = new Map<string, { draft: Draft; actorId: string }>()
  const want = (draft: Draft | null | undefined, actorId: string) => {
    if (draft) wanted.set(`${draft.userId} ${draft.id} ${actorId}`, { draft, actorId })
  }
  for (const event of events) {
    const source = sources.get(`${event.recipientId} ${event.sourceId}`)
    const actorId = source?.actorId ?? event.actorId ?? NOBODY
    want(source?.draft, actorId)
    want(openGroups.get(`${event.recipientId} ${event.groupKey}`), actorId)
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
