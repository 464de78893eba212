import type pg from 'pg'
import type { App } from '../../app.ts'
import { read } from '../../base/metrics.ts'
import { fail } from '../../errors.ts'
import { parseState } from '../../protocol/changes.ts'
import { logStored } from '../delivery-log/append.ts'
import { endSourcesAfter, SOURCES_PER_CHUNK } from '../fan-outs/end-sources.ts'
import type { WebhookEvent } from '../webhooks/events.ts'
import { queueRows } from '../webhooks/queue.ts'
import {
  changeInbox,
  changeLocked,
  type InboxChange,
  type InboxResult,
  inboxOf,
  type LockedInbox,
  NOTHING,
} from './lock.ts'

/**
 * Selects notifications by id, or all in the inbox (neither archived nor filtered) whose content grew at or before a modseq,
 * without those in `except`.
 */
export type Which = { ids: string[] } | { upTo: number; except?: string[] }

/** Notifications per transaction, so that the inbox is locked for tens of milliseconds at most. */
const CHUNK = 1000

/** Notifications that a request always changes, and milliseconds for which it continues. A fan-out changes the rest. */
const AT_ONCE = 5 * CHUNK
const AT_ONCE_MS = 500

/**
 * Marks as read, which closes the group and implies delivery. `upTo` reads only unread notifications, which have their own
 * index.
 */
export async function markRead(app: App, userId: string, which: Which): Promise<InboxResult> {
  const result = await changeAll(app, userId, which, reading)
  read.inc(result.updated)
  return result
}

/** Marks as unread. The group stays closed, so later events open a new one. */
export function markUnread(app: App, userId: string, which: Which): Promise<InboxResult> {
  return changeBack(app, userId, which, {
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
  return changeBack(app, userId, which, {
    name: 'unarchive',
    unless: 'n.archived_at is not null',
    set: 'archived_at = null',
    event: 'notification.updated',
  })
}

/**
 * Deletes notifications and leaves tombstones. Ends their sources, so that no event restores them. A fan-out ends the sources
 * of large groups.
 */
export function remove(app: App, userId: string, which: Which): Promise<InboxResult> {
  return changeAll(app, userId, which, deleting)
}

/**
 * Moves the watermark, chunk by chunk and never down. `seen` is part of a notification, so each one that becomes seen is a
 * change, even if it is archived. What is read is seen already.
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

/**
 * By kind of fan-out: changes the next chunk of an inbox that was too large for the request. Runs in the caller's transaction.
 */
export const restOfInbox: Record<string, (client: pg.ClientBase, userId: string, left: Left) => Promise<Rest>> = {
  read_inbox: async (client, userId, left) => {
    const rest = await changeRest(client, userId, left, reading)
    read.inc(rest.updated)
    return rest
  },
  archive_inbox: (client, userId, left) => changeRest(client, userId, left, archiving),
  delete_inbox: (client, userId, left) => changeRest(client, userId, left, deleting),
  see_inbox: async (client, userId, { upTo }) => {
    const { change, result } = await changeLocked(client, userId, (client, inbox) => seeUpTo(client, inbox, upTo))
    return { ...result, next: change.more ? upTo : null }
  },
}

/** `except`: notifications that the user has unarchived or marked as unread since the request. */
type Left = { upTo: number; except: string[] }

/** `next`: notifications whose `grown_modseq` is up to this remain to be changed; null if none remain. */
export type Rest = InboxResult & { next: number | null }

async function changeRest(client: pg.ClientBase, userId: string, left: Left, operation: Operation): Promise<Rest> {
  const { change, result } = await changeLocked(client, userId, (client, inbox) =>
    changeChunk(client, inbox, operation, left),
  )
  return { ...result, next: change.more ? change.last - 1 : null }
}

/**
 * The modseq of a state that a client sent, or of the inbox if there is none.
 * @param beyond what happens to a modseq above that of the inbox: `cut` lowers it, `refuse` throws
 * @throws {AppError} BAD_STATE also if the epoch differs
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
           from ${inboxOf('$1')}`,
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

/**
 * `event`: event for webhooks. `unless`: SQL for notifications that still need the change. `set`: SQL of the change; null
 * removes. `later`: kind of the fan-out for the rest.
 */
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
 * Changes chunk by chunk, latest growth first, so that visible notifications change at once even in a large inbox.
 * Notifications that grow meanwhile are above `upTo` and stay unchanged.
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

/**
 * Adds a fan-out for the rest. A running fan-out starts again at `upTo`. The exceptions up to there end, because they are
 * older than this request.
 */
async function changeLater(pool: pg.Pool, kind: string, userId: string, upTo: number): Promise<void> {
  await pool.query({
    name: 'change_inbox_later',
    text: `insert into notify.fan_outs (kind, object_id, cursor_user_id) values ($1, $2, $3)
           on conflict on constraint fan_out_once do update
           set cursor_user_id = case when fan_outs.finished_at is null then greatest(fan_outs.cursor_user_id, excluded.cursor_user_id) else excluded.cursor_user_id end,
             except_ids = array(
               select n.id from notify.notifications n
               where n.user_id = excluded.object_id and n.id = any(fan_outs.except_ids) and n.grown_modseq > excluded.cursor_user_id),
             finished_at = null, due_at = now()`,
    values: [kind, userId, upTo],
  })
}

/**
 * Marks as unread or unarchives. The rest of earlier requests leaves named notifications out, also those that it has not reached,
 * so that it does not undo this later one.
 */
async function changeBack(app: App, userId: string, which: Which, operation: Operation): Promise<InboxResult> {
  if (!('ids' in which)) return changeAll(app, userId, which, operation)
  const { ids } = which
  let rests: string[] = []
  const lockFirst = async (client: pg.ClientBase) => {
    rests = await lockRests(client, userId)
  }
  const work = async (client: pg.ClientBase, inbox: LockedInbox) => {
    const change = await changeChunk(client, inbox, operation, { ids })
    if (rests.length > 0) await leaveOut(client, rests, ids)
    return change
  }
  return (await changeInbox(app, userId, work, lockFirst)).result
}

async function lockRests(client: pg.ClientBase, userId: string): Promise<string[]> {
  const { rows } = await client.query<{ id: string }>({
    name: 'lock_rests_of_inbox',
    text: `select id from notify.fan_outs
           where kind = any('{read_inbox,archive_inbox,delete_inbox}') and object_id = $1 and actor_id = 0 and finished_at is null
           order by id for update`,
    values: [userId],
  })
  return rows.map(({ id }) => id)
}

async function leaveOut(client: pg.ClientBase, fanOuts: string[], ids: string[]): Promise<void> {
  await client.query({
    name: 'leave_out_of_rests',
    text: `update notify.fan_outs set except_ids = array(select unnest(except_ids) union select unnest($2::bigint[]))
           where id = any($1::bigint[])`,
    values: [fanOuts, ids],
  })
}

async function changeChunk(
  client: pg.ClientBase,
  inbox: LockedInbox,
  { name, unless, set, event }: Operation,
  which: Which,
): Promise<InboxChange> {
  const byIds = 'ids' in which
  const one = byIds && which.ids.length === 1
  const ids = one ? 'array[$4::bigint]' : '$4::bigint[]' // With a single id in the array, the planner chooses the primary key.
  const picked = byIds ? `n.id = any(${ids})` : `n.grown_modseq <= $4 and n.id <> all($5::bigint[]) and ${visible}`
  const { rows } = await client.query<Omit<InboxChange, 'more'> & { moreSources?: boolean }>({
    name: `${name}_${one ? 'one' : byIds ? 'named' : 'up_to'}`,
    text: `with picked as materialized (
             select n.id, n.grown_modseq, n.filtered, ${counts} from notify.notifications n
             where n.user_id = $1 and ${picked} and ${unless}
             ${byIds ? '' : `order by n.grown_modseq desc limit ${CHUNK}`}
           ), ${set === null ? removing : changing(set, event)}`,
    values: [
      inbox.userId,
      inbox.modseq,
      inbox.seenModseq,
      ...(byIds ? [one ? which.ids[0] : which.ids] : [which.upTo, which.except ?? []]),
    ],
  })
  if (rows[0]?.moreSources) await endSourcesAfter(client, inbox.userId, inbox.modseq)
  return toChange(rows[0], !byIds)
}

async function seeUpTo(client: pg.ClientBase, inbox: LockedInbox, upTo: number): Promise<InboxChange> {
  const target = Math.min(upTo, inbox.modseq)
  if (target <= inbox.seenModseq) return NOTHING
  const change = await seeChunk(client, inbox, target)
  return { ...change, seenModseq: change.more ? change.last : target }
}

async function seeChunk(client: pg.ClientBase, inbox: LockedInbox, upTo: number): Promise<InboxChange> {
  const { rows } = await client.query<Omit<InboxChange, 'more'>>({
    name: 'see_up_to',
    text: `with picked as materialized (
             select n.id, n.grown_modseq, ${counts} from notify.notifications n
             where n.user_id = $1 and n.grown_modseq > $3 and n.grown_modseq <= $4 and n.read_at is null and not n.filtered
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

function toChange(row: Omit<InboxChange, 'more'> | undefined, chunked: boolean): InboxChange {
  return row ? { ...row, more: chunked && row.updated === CHUNK } : NOTHING
}

const visible = 'n.archived_at is null and not n.filtered'
const unread = `${visible} and n.read_at is null`

/** Contribution of a notification to the counts of its inbox. $3 is the seen watermark. A read notification counts as seen. */
const counts = `(${unread})::int as unread, (${unread} and n.grown_modseq > $3::bigint)::int as unseen`

/** Queues webhooks. Omits filtered notifications, which are not in the app. */
const hooked = (event: WebhookEvent) => `hooked as (
    ${queueRows(event, { userId: '$1::bigint', notificationId: 'p.id', from: '(select id from picked where not filtered) p' })}
  )`

/** Assigns modseqs after that of the inbox, $2, and returns the changes of the counts. */
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
    delete from notify.notifications n using picked p where n.user_id = $1 and n.id = p.id returning n.*
  ),
  logged as (${logStored('gone')}
  ),
  ${hooked('notification.removed')}
  select count(*)::int as updated, -coalesce(sum(unread), 0)::int as unread, -coalesce(sum(unseen), 0)::int as unseen,
    coalesce(min(grown_modseq), 0)::float8 as last, (select count(*) from ended) = ${SOURCES_PER_CHUNK} as "moreSources"
  from picked`
