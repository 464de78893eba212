import type pg from 'pg'
import type { App } from '../../app.ts'
import { read } from '../../base/metrics.ts'
import { fail } from '../../errors.ts'
import { parseState } from '../../protocol/state.ts'
import { endSourcesAfter, SOURCES_PER_CHUNK } from '../fan-outs/end-sources.ts'
import type { WebhookEvent } from '../webhooks/events.ts'
import { queueRows } from '../webhooks/queue.ts'
import { type Change, changeInbox, changeLocked, type Inbox, type InboxResult, NOTHING } from './lock.ts'

/** What a request speaks of: named notifications, or all in the inbox (neither archived nor filtered) whose content grew at or before a modseq. */
export type Which = { ids: string[] } | { upTo: number }

/** Notifications changed in one transaction: the inbox is locked some tens of milliseconds at most. */
const CHUNK = 1000

/** How much of an inbox a request changes whatever it takes, and how long it goes on after that; a fan-out does the rest. */
const AT_ONCE = 5 * CHUNK
const AT_ONCE_MS = 500

/** Reading closes the group and implies delivery. `upTo` speaks of the unread ones only, which have an index of their own. */
export async function markRead(app: App, userId: string, which: Which): Promise<InboxResult> {
  const result = await changeAll(app, userId, which, reading)
  read.inc(result.updated)
  return result
}

/** The group stays closed: what comes later opens the next one. */
export function markUnread(app: App, userId: string, which: Which): Promise<InboxResult> {
  return changeAll(app, userId, which, {
    name: 'unread',
    unless: 'n.read_at is not null',
    set: 'read_at = null',
    event: 'notification.updated',
  })
}

export function archive(app: App, userId: string, which: Which): Promise<InboxResult> {
  return changeAll(app, userId, which, archiving)
}

export function unarchive(app: App, userId: string, which: Which): Promise<InboxResult> {
  return changeAll(app, userId, which, {
    name: 'unarchive',
    unless: 'n.archived_at is not null',
    set: 'archived_at = null',
    event: 'notification.updated',
  })
}

/** Deletes, leaves tombstones, and ends the sources, those of large groups by a fan-out: none of them can bring the notification back. */
export function remove(app: App, userId: string, which: Which): Promise<InboxResult> {
  return changeAll(app, userId, which, deleting)
}

/**
 * Moves the watermark. `seen` is part of what clients hold, so each notification on which it flips is changed, archived
 * ones too. The watermark follows chunk by chunk and never goes down.
 */
export async function markSeen(app: App, userId: string, upTo: number): Promise<InboxResult> {
  const startedAt = performance.now()
  let updated = 0
  for (;;) {
    const step = await changeInbox(app, userId, (client, inbox) => seeUpTo(client, inbox, upTo))
    updated += step.change.updated
    if (step.change.more && isLong(updated, startedAt)) await changeLater(app.pool, 'see_inbox', userId, upTo)
    else if (step.change.more) continue
    return { ...step.result, updated }
  }
}

/** What a request left of an inbox, by the kind of its fan-out: one chunk, in the caller's transaction. */
export const restOfInbox: Record<string, (client: pg.ClientBase, userId: string, upTo: number) => Promise<Rest>> = {
  read_inbox: async (client, userId, upTo) => {
    const rest = await changeRest(client, userId, upTo, reading)
    read.inc(rest.updated)
    return rest
  },
  archive_inbox: (client, userId, upTo) => changeRest(client, userId, upTo, archiving),
  delete_inbox: (client, userId, upTo) => changeRest(client, userId, upTo, deleting),
  see_inbox: async (client, userId, upTo) => {
    const { change, result } = await changeLocked(client, userId, (client, inbox) => seeUpTo(client, inbox, upTo))
    return { ...result, next: change.more ? upTo : null }
  },
}

/** `next`: up to where notifications are left; null when all are done. */
export type Rest = InboxResult & { next: number | null }

async function changeRest(client: pg.ClientBase, userId: string, upTo: number, operation: Operation): Promise<Rest> {
  const { change, result } = await changeLocked(client, userId, (client, inbox) =>
    changeChunk(client, inbox, operation, { upTo }),
  )
  return { ...result, next: change.more ? change.last - 1 : null }
}

/**
 * The modseq of a state a client sent; without one the inbox's own.
 * @throws {AppError} BAD_STATE when it is of another epoch, or beyond what the inbox has had and not to be cut to that
 */
export async function resolveUpTo(
  pool: pg.Pool,
  userId: string,
  state: string | undefined,
  beyond: 'refuse' | 'cut' = 'refuse',
): Promise<number> {
  const { rows } = await pool.query<{ epoch: string; modseq: number }>({
    name: 'inbox_state',
    text: `select (select epoch from notify.installation) as epoch, i.modseq::float8 as modseq
           from notify.inbox i where i.user_id = $1`,
    values: [userId],
  })
  const inbox = rows[0]
  if (!inbox) throw fail('USER_NOT_FOUND')
  if (state === undefined) return inbox.modseq
  const wanted = parseState(state)
  if (!wanted || wanted.epoch !== inbox.epoch) throw fail('BAD_STATE')
  if (wanted.modseq > inbox.modseq && beyond === 'refuse') throw fail('BAD_STATE')
  return Math.min(wanted.modseq, inbox.modseq)
}

/** `event`: for webhooks; `unless`: holds for those that are not yet as wanted; `set`: null removes; `later`: the fan-out of what takes too long. */
type Operation = { name: string; unless: string; set: string | null; event: WebhookEvent; later?: string }

const reading: Operation = {
  name: 'read',
  unless: 'n.read_at is null',
  set: 'read_at = now(), delivered_at = coalesce(n.delivered_at, now()), closed_at = coalesce(n.closed_at, now())',
  event: 'notification.read',
  later: 'read_inbox',
}
const archiving: Operation = {
  name: 'archive',
  unless: 'n.archived_at is null',
  set: 'archived_at = now(), closed_at = coalesce(n.closed_at, now())',
  event: 'notification.updated',
  later: 'archive_inbox',
}
const deleting: Operation = {
  name: 'remove',
  unless: 'true',
  set: null,
  event: 'notification.removed',
  later: 'delete_inbox',
}

/**
 * Chunk by chunk, the latest growth first: what people look at is done at once, also of an inbox that takes minutes. What
 * grows meanwhile is above `upTo`.
 */
async function changeAll(app: App, userId: string, which: Which, operation: Operation): Promise<InboxResult> {
  const startedAt = performance.now()
  let updated = 0
  let left = which
  for (;;) {
    const step = await changeInbox(app, userId, (client, inbox) => changeChunk(client, inbox, operation, left))
    updated += step.change.updated
    if (!step.change.more) return { ...step.result, updated }
    const upTo = step.change.last - 1
    left = { upTo }
    if (!operation.later || !isLong(updated, startedAt)) continue
    await changeLater(app.pool, operation.later, userId, upTo)
    return { ...step.result, updated }
  }
}

const isLong = (updated: number, startedAt: number) => updated >= AT_ONCE && performance.now() - startedAt > AT_ONCE_MS

/** A fan-out that is under way goes back to what is left here. */
async function changeLater(pool: pg.Pool, kind: string, userId: string, upTo: number): Promise<void> {
  await pool.query({
    name: 'change_inbox_later',
    text: `insert into notify.fan_outs (kind, object_id, cursor_user_id) values ($1, $2, $3)
           on conflict on constraint fan_out_once do update
           set cursor_user_id = case when fan_outs.finished_at is null then greatest(fan_outs.cursor_user_id, excluded.cursor_user_id) else excluded.cursor_user_id end,
             finished_at = null, due_at = now()`,
    values: [kind, userId, upTo],
  })
}

async function changeChunk(
  client: pg.ClientBase,
  inbox: Inbox,
  { name, unless, set, event }: Operation,
  which: Which,
): Promise<Change> {
  const byIds = 'ids' in which
  const one = byIds && which.ids.length === 1
  const ids = one ? 'array[$4::bigint]' : '$4::bigint[]' // of one id the planner knows that reading the inbox costs more
  const picked = byIds ? `n.id = any(${ids})` : `n.grown_modseq <= $4 and ${visible}`
  const { rows } = await client.query<Omit<Change, 'more'> & { moreSources?: boolean }>({
    name: `${name}_${one ? 'one' : byIds ? 'named' : 'up_to'}`,
    text: `with picked as materialized (
             select n.id, n.grown_modseq, n.filtered, ${counts} from notify.notifications n
             where n.user_id = $1 and ${picked} and ${unless}
             ${byIds ? '' : `order by n.grown_modseq desc limit ${CHUNK}`}
           ), ${set === null ? removing : changing(set, event)}`,
    values: [inbox.userId, inbox.modseq, inbox.seenModseq, byIds ? (one ? which.ids[0] : which.ids) : which.upTo],
  })
  if (rows[0]?.moreSources) await endSourcesAfter(client, inbox.userId, inbox.modseq)
  return toChange(rows[0], !byIds)
}

async function seeUpTo(client: pg.ClientBase, inbox: Inbox, upTo: number): Promise<Change> {
  const target = Math.min(upTo, inbox.modseq)
  if (target <= inbox.seenModseq) return NOTHING
  const change = await seeChunk(client, inbox, target)
  return { ...change, seenModseq: change.more ? change.last : target }
}

async function seeChunk(client: pg.ClientBase, inbox: Inbox, upTo: number): Promise<Change> {
  const { rows } = await client.query<Omit<Change, 'more'>>({
    name: 'see_up_to',
    text: `with picked as materialized (
             select n.id, n.grown_modseq, ${counts} from notify.notifications n
             where n.user_id = $1 and n.grown_modseq > $3 and n.grown_modseq <= $4 and not n.filtered
             order by n.grown_modseq limit ${CHUNK}
           ), numbered as (select *, row_number() over (order by grown_modseq) as place from picked),
           changed as (
             update notify.notifications n set modseq = $2 + p.place
             from numbered p where n.user_id = $1 and n.id = p.id
           )
           select count(*)::int as updated, 0 as unread, -coalesce(sum(unseen), 0)::int as unseen,
             coalesce(max(grown_modseq), 0)::float8 as last from picked`,
    values: [inbox.userId, inbox.modseq, inbox.seenModseq, upTo],
  })
  return toChange(rows[0], true)
}

function toChange(row: Omit<Change, 'more'> | undefined, chunked: boolean): Change {
  return row ? { ...row, more: chunked && row.updated === CHUNK } : NOTHING
}

const visible = 'n.archived_at is null and not n.filtered'

/** What one notification stands for in the counts of its inbox; $3 is the seen watermark. */
const counts = `(${visible} and n.read_at is null)::int as unread, (${visible} and n.grown_modseq > $3::bigint)::int as unseen`

/** What is filtered is not in the app, and its changes are nobody's. */
const hooked = (event: WebhookEvent) => `hooked as (
    ${queueRows(event, { userId: '$1::bigint', notificationId: 'p.id', from: '(select id from picked where not filtered) p' })}
  )`

/** Numbers the picked ones after the inbox's modseq, $2, and answers by how much the counts move. */
const changing = (set: string, event: WebhookEvent) => `
  numbered as (select *, row_number() over (order by grown_modseq) as place from picked),
  changed as (
    update notify.notifications n set modseq = $2::bigint + p.place, ${set}
    from numbered p where n.user_id = $1 and n.id = p.id
    returning ${counts}
  ),
  ${hooked(event)}
  select b.updated, a.unread - b.unread as unread, a.unseen - b.unseen as unseen, b.last
  from (select count(*)::int as updated, coalesce(sum(unread), 0)::int as unread, coalesce(sum(unseen), 0)::int as unseen,
          coalesce(min(grown_modseq), 0)::float8 as last from picked) b,
       (select coalesce(sum(unread), 0)::int as unread, coalesce(sum(unseen), 0)::int as unseen from changed) a`

const removing = `
  numbered as (select *, row_number() over (order by grown_modseq) as place from picked),
  ended as (
    update notify.sources s set live = false, notification_id = null, decision = 'removed', decided_at = now()
    where s.user_id = $1 and s.source_id = any(array(
      select k.source_id from picked p
      cross join lateral (
        select s.source_id from notify.sources s where s.user_id = $1 and s.notification_id = p.id and s.live limit ${SOURCES_PER_CHUNK}) k
      limit ${SOURCES_PER_CHUNK}))
    returning 1
  ),
  left_behind as (
    insert into notify.tombstones (user_id, modseq, id) select $1, $2::bigint + place, id from numbered
  ),
  gone as (
    delete from notify.notifications n using picked p where n.user_id = $1 and n.id = p.id
  ),
  ${hooked('notification.removed')}
  select count(*)::int as updated, -coalesce(sum(unread), 0)::int as unread, -coalesce(sum(unseen), 0)::int as unseen,
    coalesce(min(grown_modseq), 0)::float8 as last, (select count(*) from ended) = ${SOURCES_PER_CHUNK} as "moreSources"
  from picked`
