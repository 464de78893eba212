import type pg from 'pg'
import { notify } from '../db/notify.ts'
import { together } from '../db/transaction.ts'
import { appendToLog, logOf } from '../delivery-log/append.ts'
import { INBOX_CHANNEL } from '../wake-ups.ts'
import { ACTORS_KEPT, rank } from './actors.ts'
import { type Draft, type Folded, type Inbox, NOBODY, noWords, type OpenWindow, type Source } from './model.ts'
import { encodeChangedInboxes } from './notify-payload.ts'
import type { TypeLookup } from './types.ts'

/**
 * Stores what was folded: numbers the changes of each inbox without gaps, sets its counts, writes notifications, sources
 * and tombstones, and notifies the push nodes. The inboxes are locked, so absolute values are right.
 * A removed notification leaves its sources with `removedBecause` as their decision.
 */
export async function storeFolded(
  client: pg.ClientBase,
  types: TypeLookup,
  inboxes: Map<string, Inbox>,
  folded: Folded,
  removedBecause = 'retracted',
): Promise<void> {
  const changes = folded.drafts
    .filter((draft) => draft.changed && (draft.id !== 0 || !draft.removed))
    .flatMap((draft) => numberChange(draft, inboxes.get(draft.userId)))
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
    completeActors(client, types, updated).then(() => updateNotifications(client, types, updated)),
    notifyPushNodes(client, new Map(inboxesOf(changes).map(({ userId, modseq }) => [userId, modseq]))),
  ])
}

/** One change of one inbox: the notification and the modseq it was given. */
type Change = { draft: Draft; inbox: Inbox; modseq: number; born: boolean }

/** Gives a change its modseq and moves the inbox's counts by what the notification stood for before and stands for now. */
function numberChange(draft: Draft, inbox: Inbox | undefined): Change[] {
  if (!inbox) return []
  const born = draft.id === 0
  const [unreadBefore, unseenBefore] = born ? [0, 0] : countsOf(draft, inbox)
  inbox.modseq += 1
  if (born) draft.id = inbox.modseq
  if (draft.grown) draft.grownModseq = inbox.modseq
  const [unread, unseen] = draft.removed ? [0, 0] : countsOf(draft, inbox)
  inbox.unread += unread - unreadBefore
  inbox.unseen += unseen - unseenBefore
  return [{ draft, inbox, modseq: inbox.modseq, born }]
}

function countsOf(draft: Draft, inbox: Inbox): [unread: number, unseen: number] {
  if (draft.archived || draft.filtered) return [0, 0]
  return [draft.read ? 0 : 1, draft.grownModseq > inbox.seenModseq ? 1 : 0]
}

function inboxesOf(changes: Change[]): Inbox[] {
  return [...new Set(changes.map(({ inbox }) => inbox))]
}

async function storeInboxes(client: pg.ClientBase, changes: Change[]): Promise<void> {
  const inboxes = inboxesOf(changes)
  if (inboxes.length === 0) return
  await client.query({
    name: 'store_inboxes',
    text: `update notify.inbox i set modseq = w.modseq, unread_count = w.unread, unseen_count = w.unseen
           from unnest($1::bigint[], $2::bigint[], $3::int[], $4::int[]) w (user_id, modseq, unread, unseen)
           where i.user_id = w.user_id and i.user_id = any($1::bigint[])`,
    values: [
      inboxes.map((i) => i.userId),
      inboxes.map((i) => i.modseq),
      inboxes.map((i) => i.unread),
      inboxes.map((i) => i.unseen),
    ],
  })
}

/** Closing a group is not a change of its notification: nothing of it is visible to the user. */
async function closeExpiredGroups(client: pg.ClientBase, groups: Draft[]): Promise<void> {
  if (groups.length === 0) return
  await client.query({
    name: 'close_expired_groups',
    text: `update notify.notifications n set closed_at = now()
           from unnest($1::bigint[], $2::bigint[]) w (user_id, id)
           where n.user_id = w.user_id and n.id = w.id and n.user_id = any($1::bigint[])`,
    values: [groups.map((g) => g.userId), groups.map((g) => g.id)],
  })
}

async function storeRemovals(client: pg.ClientBase, removed: Change[], because: string): Promise<void> {
  if (removed.length === 0) return
  const users = removed.map(({ draft }) => draft.userId)
  const ids = removed.map(({ draft }) => draft.id)
  const removal = client.query({
    name: 'remove_notifications',
    text: `delete from notify.notifications n using unnest($1::bigint[], $2::bigint[]) w (user_id, id)
           where n.user_id = w.user_id and n.id = w.id and n.user_id = any($1::bigint[])`,
    values: [users, ids],
  })
  const tombstones = client.query({
    name: 'leave_tombstones',
    text: `insert into notify.tombstones (user_id, modseq, id)
           select * from unnest($1::bigint[], $2::bigint[], $3::bigint[])`,
    values: [users, removed.map(({ modseq }) => modseq), ids],
  })
  const sources = client.query({
    name: 'end_sources_of_removed',
    text: `update notify.sources s set live = false, decision = $3, decided_at = now()
           from unnest($1::bigint[], $2::bigint[]) w (user_id, id)
           where s.user_id = w.user_id and s.notification_id = w.id and s.live and s.user_id = any($1::bigint[])`,
    values: [users, ids, because],
  })
  await together([removal, tombstones, sources])
}

async function insertNotifications(client: pg.ClientBase, types: TypeLookup, created: Change[]): Promise<void> {
  if (created.length === 0) return
  const drafts = created.map(({ draft }) => draft)
  await client.query({
    name: 'insert_notifications',
    text: `insert into notify.notifications
             (user_id, id, modseq, grown_modseq, type, priority, severity, title, body, url, group_key, thread_key, object_type, object_id,
              data, actor_ids, followed_actors, actor_count, request_id, silent, filtered, filter_reason, closed_at, expires_at)
           select u, i, i, i, t, p, s, x.title, x.body, x.url, g, h, y, o, d, a::bigint[], f, c, q, silent, r is not null, r,
             case when closed then now() end, coalesce(x.expires_at, now() + make_interval(secs => e))
           from unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::jsonb[],
             $11::text[], $12::int[], $13::int[], $14::text[], $15::boolean[], $16::text[], $17::boolean[], $18::float8[], $19::jsonb[])
             w (u, i, t, p, s, g, h, y, o, d, a, f, c, q, silent, r, closed, e, words)
           left join lateral (select words ->> 'title' as title, words ->> 'body' as body, words ->> 'url' as url, (words ->> 'expiresAt')::timestamptz as expires_at) x
             on words is not null`,
    values: [
      drafts.map((d) => d.userId),
      drafts.map((d) => d.id),
      drafts.map((d) => d.type),
      drafts.map((d) => d.priority),
      drafts.map((d) => d.sent.severity ?? types(d.type).severity),
      drafts.map((d) => d.groupKey),
      drafts.map((d) => d.threadKey),
      drafts.map((d) => d.objectType),
      drafts.map((d) => d.objectId),
      drafts.map((d) => JSON.stringify(d.data)),
      drafts.map((d) => arrayLiteral(d.actorIds)),
      drafts.map((d) => d.followedActors),
      drafts.map((d) => d.actorCount),
      drafts.map((d) => d.requestId),
      drafts.map((d) => d.silent),
      drafts.map((d) => d.filterReason),
      drafts.map((d) => !d.open),
      drafts.map((d) => types(d.type).retentionSeconds),
      drafts.map((d) => (d.sent === noWords ? null : JSON.stringify(d.sent))),
    ],
  })
}

/** Every decided event leaves its row: the guard on event_id makes a repeat, and a late retry, do nothing. */
async function storeSources(client: pg.ClientBase, sources: Source[]): Promise<void> {
  if (sources.length === 0) return
  await client.query({
    name: 'store_sources',
    text: `insert into notify.sources (user_id, source_id, event_id, notification_id, actor_id, live, notified, waits_for, waits_filter, decision, decided_by, silent)
           select * from unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::boolean[], $7::boolean[], $8::text[],
             $9::text[], $10::text[], $11::text[], $12::boolean[])
           on conflict (user_id, source_id) do update
           set event_id = excluded.event_id, actor_id = excluded.actor_id, notification_id = excluded.notification_id, live = excluded.live,
               notified = excluded.notified, waits_for = excluded.waits_for, waits_filter = excluded.waits_filter,
               decision = excluded.decision, decided_by = excluded.decided_by, silent = excluded.silent, decided_at = excluded.decided_at
           where sources.event_id < excluded.event_id`,
    values: [
      sources.map((s) => s.userId),
      sources.map((s) => s.sourceId),
      sources.map((s) => s.eventId),
      sources.map((s) => (s.draft ? s.draft.id || null : s.goneNotificationId)),
      sources.map((s) => s.actorId),
      sources.map((s) => s.live),
      sources.map((s) => s.notified),
      sources.map((s) => s.waitsFor),
      sources.map((s) => s.waitsFilter ?? 'none'),
      sources.map((s) => s.decision),
      sources.map((s) => s.decidedBy),
      sources.map((s) => s.silent),
    ],
  })
}

/** Opens windows, with jitter so that they do not all end at once; one that is open already keeps its end. */
export async function openWindows(client: pg.ClientBase, windows: OpenWindow[]): Promise<void> {
  if (windows.length === 0) return
  await client.query({
    name: 'open_windows',
    text: `insert into notify.windows (user_id, group_key, filter, type, object_type, object_id, thread_key, data, due_at)
           select u, g, f, t, y, o, h, d, now() + make_interval(secs => lasts * (1 - jitter + 2 * jitter * random()))
           from unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::jsonb[], $9::float8[], $10::float8[])
             w (u, g, f, t, y, o, h, d, lasts, jitter)
           on conflict (user_id, group_key, filter) do update set data = excluded.data`,
    values: [
      windows.map((w) => w.userId),
      windows.map((w) => w.groupKey),
      windows.map((w) => w.filterReason ?? 'none'),
      windows.map((w) => w.type.type),
      windows.map((w) => w.objectType),
      windows.map((w) => w.objectId),
      windows.map((w) => w.threadKey),
      windows.map((w) => JSON.stringify(w.data)),
      windows.map((w) => w.type.windowSeconds),
      windows.map((w) => w.type.jitter),
    ],
  })
}

/**
 * When all who were shown have taken it back while others wait, those are shown at once; also when nobody saw it, since they
 * came and went in one batch.
 */
async function hurryWindows(client: pg.ClientBase, drafts: Draft[]): Promise<void> {
  const groups = drafts.filter((draft) => draft.removed && draft.groupKey !== null)
  if (groups.length === 0) return
  await client.query({
    name: 'hurry_windows',
    text: `update notify.windows x set due_at = now()
           from unnest($1::bigint[], $2::text[], $3::text[]) w (u, g, f)
           where x.user_id = w.u and x.group_key = w.g and x.filter = w.f and x.due_at > now() and x.user_id = any($1::bigint[])`,
    values: [groups.map((d) => d.userId), groups.map((d) => d.groupKey), groups.map((d) => d.filterReason ?? 'none')],
  })
}

/** Looks the latest actors up again where too few of the known ones are left; rare, since eight are kept for the three shown. */
async function completeActors(client: pg.ClientBase, types: TypeLookup, updated: Change[]): Promise<void> {
  const incomplete = new Map(
    updated.filter(({ draft }) => draft.actorsIncomplete).map(({ draft }) => [`${draft.userId} ${draft.id}`, draft]),
  )
  if (incomplete.size === 0) return
  const drafts = [...incomplete.values()]
  const { rows } = await client.query<{ key: string; actorIds: string[]; followedActors: number }>({
    name: 'latest_actors',
    text: `select concat_ws(' ', w.u, w.n) as key, array_agg(a.actor_id::text order by a.followed desc, a.latest desc) as "actorIds",
             count(*) filter (where a.followed)::int as "followedActors"
           from unnest($1::bigint[], $2::bigint[]) w (u, n)
           cross join lateral (
             select s.actor_id, max(s.event_id) as latest,
               exists (select from social.follows f where f.follower_id = w.u and f.followee_id = s.actor_id) as followed
             from notify.sources s
             where s.user_id = w.u and s.notification_id = w.n and s.live and s.actor_id <> ${NOBODY}
             group by s.actor_id order by followed desc, latest desc limit ${ACTORS_KEPT}
           ) a
           group by w.u, w.n`,
    values: [drafts.map((d) => d.userId), drafts.map((d) => d.id)],
  })
  for (const { key, actorIds, followedActors } of rows) {
    const draft = incomplete.get(key)
    if (!draft) continue
    Object.assign(draft, { actorIds, followedActors })
    rank(draft, types(draft.type))
  }
}

/** What a send brings along, its group says from now on, and lives as long as the one that lives longest. */
async function updateNotifications(client: pg.ClientBase, types: TypeLookup, updated: Change[]): Promise<void> {
  if (updated.length === 0) return
  const drafts = updated.map(({ draft }) => draft)
  await client.query({
    name: 'update_notifications',
    text: `update notify.notifications n
           set modseq = w.m, grown_modseq = case when w.grown then w.m else n.grown_modseq end,
               updated_at = case when w.grown then now() else n.updated_at end,
               delivered_at = case when w.grown then null else n.delivered_at end,
               data = w.d, actor_ids = w.a::bigint[], actor_count = w.c, request_id = coalesce(w.r, n.request_id),
               followed_actors = w.f, priority = w.p, silent = w.q,
               ${['title', 'body', 'url'].map((word) => `${word} = case when w.words is null then n.${word} else w.words ->> '${word}' end`).join(', ')},
               severity = coalesce(w.words ->> 'severity', n.severity),
               expires_at = case when w.words is null then n.expires_at
                 else greatest(n.expires_at, coalesce((w.words ->> 'expiresAt')::timestamptz, now() + make_interval(secs => w.e))) end
           from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::boolean[], $5::jsonb[], $6::text[], $7::int[], $8::text[], $9::int[], $10::text[],
             $11::boolean[], $12::jsonb[], $13::float8[]) w (u, i, m, grown, d, a, c, r, f, p, q, words, e)
           where n.user_id = w.u and n.id = w.i and n.user_id = any($1::bigint[])`,
    values: [
      drafts.map((d) => d.userId),
      drafts.map((d) => d.id),
      updated.map(({ modseq }) => modseq),
      drafts.map((d) => d.grown),
      drafts.map((d) => JSON.stringify(d.data)),
      drafts.map((d) => arrayLiteral(d.actorIds)),
      drafts.map((d) => d.actorCount),
      drafts.map((d) => d.requestId),
      drafts.map((d) => d.followedActors),
      drafts.map((d) => d.priority),
      drafts.map((d) => d.silent),
      drafts.map((d) => (d.sent === noWords ? null : JSON.stringify(d.sent))),
      drafts.map((d) => types(d.type).retentionSeconds),
    ],
  })
}

/** In the same transaction: nothing is pushed that is not committed, and nothing committed waits for a poll. */
export function notifyPushNodes(client: pg.ClientBase, modseqByUser: Map<string, number>): Promise<void> {
  return notify(client, INBOX_CHANNEL, encodeChangedInboxes(modseqByUser))
}

/** unnest would flatten an array of arrays, so the inner ones travel as literals. */
function arrayLiteral(ids: string[]): string {
  return `{${ids.join(',')}}`
}
