import type pg from 'pg'
import { queueDeliveries } from '../channels/queue.ts'
import { inTransaction } from '../db/transaction.ts'
import { appendToLog } from '../delivery-log/append.ts'
import type { Engine } from '../engine/engine.ts'
import { ACTORS_KEPT, rank } from './actors.ts'
import { type Decision, decide, type UserPreferences } from './decide.ts'
import { readOpenGroups } from './load.ts'
import { lockInboxes, lockObjects } from './locks.ts'
import { type Draft, emptyDraft, type FilterReason, keyOfGroup, NOBODY } from './model.ts'
import { readPreferences } from './people.ts'
import { silencedBy } from './silences.ts'
import { openWindows, storeFolded } from './store.ts'
import type { TypeLookup } from './types.ts'

/** Windows flushed in one transaction. */
const BATCH = 500

/** A row of notify.windows. */
type Window = {
  userId: string
  groupKey: string
  filterReason: FilterReason | null
  type: string
  objectType: string | null
  objectId: string | null
  threadKey: string | null
  data: Record<string, unknown>
}

/** Shows what the windows that are due have gathered, until none is left. Inboxes that somebody holds are left to the next run. */
export async function flushWindows({ pool, types }: Pick<Engine, 'pool' | 'types'>): Promise<void> {
  const lookup = await types.current()
  let flushed = BATCH
  while (flushed === BATCH) flushed = await inTransaction(pool, (client) => flushBatch(client, lookup))
}

/**
 * One update per group, whoever waits in it. Locks objects, then inboxes, as everywhere; who waits is read under the lock
 * of the inbox, so that a retraction comes either before this, and that one does not wait any more, or after it.
 */
async function flushBatch(client: pg.ClientBase, types: TypeLookup): Promise<number> {
  const due = await findDue(client)
  if (due.length === 0) return 0
  const comments = await findWaitingComments(client, due)
  const gone = await lockObjects(client, new Set([...due.flatMap(objectsOfWindow), ...comments]))
  const inboxes = await lockInboxes(client, [...new Set(due.map((window) => window.userId))], true)
  const windows = await takeDue(client, [...inboxes.keys()], due)
  const preferences = await readPreferences(client, [...inboxes.keys()], inboxes)
  const verdicts = judge(types, preferences, windows)
  await turnAway(client, windows, gone, verdicts)
  const gathered = await gather(client, types, windows, verdicts, comments)
  const drafts = gathered.map(({ draft }) => draft)
  const outgrown = gathered.flatMap(({ outgrown }) => outgrown ?? [])
  await storeFolded(client, types, inboxes, { drafts, expiredGroups: outgrown, sources: [], windows: [] })
  await queueDeliveries(client, types, inboxes, drafts, preferences)
  await showSources(client, gathered, verdicts, comments)
  await reopen(client, types, windows)
  return windows.length
}

async function findDue(client: pg.ClientBase): Promise<Window[]> {
  const { rows } = await client.query<Window>({
    name: 'due_windows',
    text: `select ${windowColumns} from notify.windows x where due_at <= now() order by due_at limit ${BATCH}`,
  })
  return rows
}

const windowColumns = `x.user_id as "userId", x.group_key as "groupKey", nullif(x.filter, 'none') as "filterReason", x.type, x.object_type as "objectType",
  x.object_id as "objectId", x.thread_key as "threadKey", x.data`

/** Comments have to be locked before the inboxes; those that begin to wait after this are left to the next window. */
async function findWaitingComments(client: pg.ClientBase, windows: Window[]): Promise<string[]> {
  const { rows } = await client.query<{ sourceId: string }>({
    name: 'waiting_comments',
    text: `select distinct s.source_id as "sourceId" from ${asRows} ${waiting} where s.source_id like 'comment:%'`,
    values: keys(windows),
  })
  return rows.map((row) => row.sourceId)
}

/** Windows as rows `w` and who waits in them as `s`; the parameters are `keys(windows)`. */
const asRows = 'unnest($1::bigint[], $2::text[], $3::text[]) with ordinality w (u, g, f, place)'
const waiting = 'join notify.sources s on s.user_id = w.u and s.waits_for = w.g and s.waits_filter = w.f'
/** Of those, the ones whose comment was locked before; $4 is the list. */
const checked = `(s.source_id not like 'comment:%' or s.source_id = any($4::text[]))`

function keys(windows: Pick<Window, 'userId' | 'groupKey' | 'filterReason'>[]) {
  return [windows.map((w) => w.userId), windows.map((w) => w.groupKey), windows.map((w) => w.filterReason ?? 'none')]
}

/** The post it belongs to and, for replies, the comment they answer. */
function objectsOfWindow({ threadKey, objectType, objectId }: Window): string[] {
  return [...(threadKey === null ? [] : [threadKey]), ...(objectType === 'comment' ? [`comment:${objectId}`] : [])]
}

async function takeDue(client: pg.ClientBase, users: string[], due: Window[]): Promise<Window[]> {
  const { rows } = await client.query<Window>({
    name: 'take_due_windows',
    text: `delete from notify.windows x using ${asRows}
           where x.user_id = w.u and x.group_key = w.g and x.filter = w.f and x.due_at <= now() and x.user_id = any($4::bigint[])
           returning ${windowColumns}`,
    values: [...keys(due), users],
  })
  return rows
}

/** What each recipient's preferences say now; what is filtered was not for the app anyway. */
function judge(types: TypeLookup, preferences: Map<string, UserPreferences>, windows: Window[]): Map<Window, Decision> {
  return new Map(
    windows.map((window) => [window, decide(types(window.type), 'inApp', null, preferences.get(window.userId))]),
  )
}

/** Those whose object is gone meanwhile, who are blocked or muted, or whom the recipient's preferences keep away: these are logged. */
async function turnAway(
  client: pg.ClientBase,
  windows: Window[],
  gone: Set<string>,
  verdicts: Map<Window, Decision>,
): Promise<void> {
  const unwantedBy = windows.map((window) => {
    const verdict = verdicts.get(window)
    return verdict?.decision === 'suppress' && !window.filterReason ? verdict.decidedBy : null
  })
  const { rows } = await client.query<{ recipientId: string; reason: string | null }>({
    name: 'turn_away',
    text: `update notify.sources t set waits_for = null, decided_at = now(), decision = case when v.gone then 'object_gone' else 'suppressed' end,
             decided_by = case when not v.gone then v.by end
           from (
             select s.user_id, s.source_id, s.source_id = any($4::text[]) or w.object_gone as gone,
               coalesce(w.unwanted_by, ${silencedBy({ user: 's.user_id', actor: 's.actor_id', thread: 'w.thread' })}) as by
             from unnest($1::bigint[], $2::text[], $3::text[], $5::boolean[], $6::text[], $7::text[]) w (u, g, f, object_gone, unwanted_by, thread) ${waiting}
           ) v
           where t.user_id = v.user_id and t.source_id = v.source_id and (v.gone or v.by is not null)
           returning t.user_id as "recipientId", t.decided_by as reason`,
    values: [
      ...keys(windows),
      [...gone].filter((object) => object.startsWith('comment:')),
      windows.map((window) => objectsOfWindow(window).some((object) => gone.has(object))),
      unwantedBy,
      windows.map((window) => window.threadKey),
    ],
  })
  const suppressed = rows.filter((row) => row.reason !== null)
  await appendToLog(
    client,
    suppressed.map((row) => ({ ...row, notificationId: null, event: 'filtered' })),
  )
}

/** A group with what is added to it; `outgrown`: its predecessor, to be closed. */
type Gathered = { window: Window; draft: Draft; outgrown: Draft | undefined }

/** Who waits in a window: distinct people new to the group, and the latest of all, whom the recipient follows first. */
type Waiting = { place: number; newPeople: number; latestSource: string; followed: string[]; strangers: string[] }

async function gather(
  client: pg.ClientBase,
  types: TypeLookup,
  windows: Window[],
  verdicts: Map<Window, Decision>,
  comments: string[],
): Promise<Gathered[]> {
  const openGroups = await readOpenGroups(client, windows)
  const groups = windows.map((window) => {
    const current = openGroups.get(keyOfGroup(window))
    const fits = current?.open && current.actorCount < types(window.type).maxGroupSize
    const draft = fits ? current : newDraft(window, types)
    return { window, draft, outgrown: fits ? undefined : current }
  })
  const { rows } = await client.query<Waiting>({
    name: 'gather_waiting',
    text: gatherStatement,
    values: [...keys(windows), comments, groups.map(({ draft }) => draft.id)],
  })
  return rows.flatMap((row) => {
    const group = groups[row.place - 1]
    if (!group) return []
    grow(group.draft, group.window, row)
    group.draft.silent = verdicts.get(group.window)?.until != null
    rank(group.draft, types(group.draft.type))
    return [group]
  })
}

const gatherStatement = `
  select w.place::int as place, a.*
  from unnest($1::bigint[], $2::text[], $3::text[], $5::bigint[]) with ordinality w (u, g, f, n, place)
  cross join lateral (
    select count(*) filter (where p.is_new and p.actor_id <> ${NOBODY})::int as "newPeople",
      (array_agg(p.latest_source order by p.latest desc))[1] as "latestSource",
      coalesce((array_agg(p.actor_id::text order by p.latest desc) filter (where p.followed and p.actor_id <> ${NOBODY}))[1:${ACTORS_KEPT}], '{}') as followed,
      coalesce((array_agg(p.actor_id::text order by p.latest desc) filter (where not p.followed and p.actor_id <> ${NOBODY}))[1:${ACTORS_KEPT}], '{}') as strangers
    from (
      select s.actor_id, max(s.event_id) as latest, (array_agg(s.source_id order by s.event_id desc))[1] as latest_source,
        exists (select from social.follows f where f.follower_id = w.u and f.followee_id = s.actor_id) as followed,
        not exists (select from notify.sources l where l.user_id = w.u and l.notification_id = w.n and l.actor_id = s.actor_id and l.live) as is_new
      from notify.sources s
      where s.user_id = w.u and s.waits_for = w.g and s.waits_filter = w.f and ${checked}
      group by s.actor_id
    ) p
    having count(*) > 0
  ) a`

function newDraft(window: Window, types: TypeLookup): Draft {
  const type = types(window.type)
  return {
    ...emptyDraft(window.userId, window.type, window, window.groupKey),
    priority: type.priority,
    filtered: window.filterReason !== null,
    filterReason: window.filterReason,
  }
}

function grow(draft: Draft, { data }: Window, { newPeople, latestSource, followed, strangers }: Waiting): void {
  const isNew = (id: string) => !followed.includes(id) && !strangers.includes(id)
  const formerlyFollowed = draft.actorIds.slice(0, draft.followedActors).filter(isNew)
  const formerStrangers = draft.actorIds.slice(draft.followedActors).filter(isNew)
  draft.actorIds = [...followed, ...formerlyFollowed, ...strangers, ...formerStrangers].slice(0, ACTORS_KEPT)
  draft.followedActors = Math.min(followed.length + formerlyFollowed.length, ACTORS_KEPT)
  draft.actorCount += newPeople
  draft.data = latestSource.startsWith('comment:')
    ? { ...data, commentId: latestSource.slice('comment:'.length) }
    : data
  draft.changed = true
  draft.grown = true
}

async function showSources(
  client: pg.ClientBase,
  gathered: Gathered[],
  verdicts: Map<Window, Decision>,
  comments: string[],
): Promise<void> {
  if (gathered.length === 0) return
  await client.query({
    name: 'show_waiting',
    text: `update notify.sources s
           set waits_for = null, live = true, notified = true, notification_id = w.n, silent = w.q, decided_at = now(),
               decision = case when w.f <> 'none' then 'filtered' else 'shown' end, decided_by = coalesce(w.by, s.decided_by)
           from unnest($1::bigint[], $2::text[], $3::text[], $5::bigint[], $6::boolean[], $7::text[]) w (u, g, f, n, q, by)
           where s.user_id = w.u and s.waits_for = w.g and s.waits_filter = w.f and ${checked}`,
    values: [
      ...keys(gathered.map(({ window }) => window)),
      comments,
      gathered.map(({ draft }) => draft.id),
      gathered.map(({ draft }) => draft.silent),
      gathered.map(({ window }) => (window.filterReason ? null : verdicts.get(window)?.decidedBy)),
    ],
  })
}

/** Who came while this was under way waits for the next window. */
async function reopen(client: pg.ClientBase, types: TypeLookup, windows: Window[]): Promise<void> {
  const { rows } = await client.query<{ place: number }>({
    name: 'still_waiting',
    text: `select w.place::int as place from ${asRows}
           where exists (select from notify.sources s where s.user_id = w.u and s.waits_for = w.g and s.waits_filter = w.f)`,
    values: keys(windows),
  })
  const awaited = new Set(rows.map((row) => row.place))
  const left = windows.filter((_, index) => awaited.has(index + 1))
  await openWindows(
    client,
    left.map((window) => ({ ...window, type: types(window.type) })),
  )
}
