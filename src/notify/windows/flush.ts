import type pg from 'pg'
import type { Logger } from 'pino'
import type { App } from '../../app.ts'
import { isContentError, sqlBackoff, sqlJitter } from '../../base/failure.ts'
import { inTransaction } from '../../db/transaction.ts'
import { messageOf } from '../../errors.ts'
import { queueDeliveries } from '../channels/queue.ts'
import { keyOfGroup } from '../dispatch/model.ts'
import { lockFreeObjects, lockInboxes } from '../dispatch/objects.ts'
import { storeFolded } from '../dispatch/store.ts'
import { inboxOf } from '../inbox/lock.ts'
import { storeCounted } from '../rules/cap.ts'
import { readPreferences } from '../rules/relations.ts'
import type { TypeLookup } from '../types/types.ts'
import { gather, showSources } from './gather.ts'
import { judge, turnAway } from './recheck.ts'
import { keyed, objectsOfWindow, openWindows, type Window, waiting, windowColumns } from './rows.ts'

/** Windows per transaction. */
const BATCH = 500
/** Maximum delay after a database problem, so that windows resume soon after it ends. */
const TROUBLE_PASSES_SECONDS = 30

/**
 * Updates the groups whose windows are due, page by page. Windows whose inbox or post is held wait for the next run:
 * the next page begins behind them.
 */
export async function flushWindows({ pool, types, log }: Pick<App, 'pool' | 'types' | 'log'>): Promise<void> {
  const lookup = await types.current()
  let due = await findDue(pool)
  while (due.length > 0) {
    await flushApart({ pool, log, types: lookup }, due)
    due = await findDue(pool, due.at(-1))
  }
}

/** Time as text, which keeps the microseconds. */
type Due = Window & { dueAt: string }

/** The next due windows after `last`. Skips windows without an inbox; the deletion of the user removes those. */
async function findDue(pool: pg.Pool, last?: Due): Promise<Due[]> {
  const { rows } = await pool.query<Due>({
    name: 'due_windows',
    text: `select ${windowColumns}, x.due_at::text as "dueAt" from notify.windows x
           where x.due_at <= now() and (x.due_at, x.user_id, x.group_key, x.filter) > ($1::timestamptz, $2::bigint, $3::text, $4::text)
             and exists (select from ${inboxOf('x.user_id')})
           order by x.due_at, x.user_id, x.group_key, x.filter limit ${BATCH}`,
    values: [last?.dueAt ?? '-infinity', last?.userId ?? 0, last?.groupKey ?? '', last?.filterReason ?? 'none'],
  })
  return rows
}

type Flushing = { pool: pg.Pool; log: Logger; types: TypeLookup }

/**
 * Flushes windows in one transaction. If that fails because of its content, halves it until the bad window is alone, postpones
 * that one and flushes the others. Other errors end the run and postpone all windows by a short backoff with jitter.
 */
async function flushApart(flushing: Flushing, due: Window[]): Promise<void> {
  try {
    await inTransaction(flushing.pool, (client) => flushBatch(client, flushing.types, due))
  } catch (error) {
    if (!isContentError(error)) {
      await putOff(flushing, due, error, TROUBLE_PASSES_SECONDS).catch(() => undefined) // the same database problem concerns all windows
      throw error
    }
    if (due.length === 1) return putOff(flushing, due, error)
    const half = Math.ceil(due.length / 2)
    await flushApart(flushing, due.slice(0, half))
    await flushApart(flushing, due.slice(half))
  }
}

/**
 * Postpones these windows, longer after each failure, up to `longestSeconds`. Their sources keep waiting, and new ones join.
 * Skips windows that another process has locked.
 */
async function putOff(
  { pool, log }: Flushing,
  windows: Window[],
  error: unknown,
  longestSeconds = 3600,
): Promise<void> {
  const named = windows.slice(0, 3).map(({ userId, groupKey }) => ({ userId, groupKey }))
  log.warn({ err: error, count: windows.length, windows: named }, 'cannot flush windows; retrying later')
  await pool.query(
    `update notify.windows x set attempts = attempts + 1, last_error = ${keyed.next}, due_at = now() + make_interval(secs => ${sqlJitter(sqlBackoff({ first: 1, longest: longestSeconds }, 'attempts'))})
     from (
       select x.user_id, x.group_key, x.filter from ${keyed.from}
       join notify.windows x on x.user_id = w.user_id and x.group_key = w.group_key and x.filter = w.filter and x.due_at <= now()
       for update of x skip locked
     ) w
     where x.user_id = w.user_id and x.group_key = w.group_key and x.filter = w.filter`,
    [...keyed.values(windows), messageOf(error)],
  )
}

/**
 * Updates each group once, however many people wait in it. Locks objects, then inboxes, as everywhere. Reads waiting sources
 * under the inbox lock: a retraction is either earlier and has removed its source, or later.
 */
async function flushBatch(client: pg.ClientBase, types: TypeLookup, due: Window[]): Promise<void> {
  const waitingComments = await findWaitingComments(client, due)
  const { gone, held } = await lockFreeObjects(client, new Set([...due.flatMap(objectsOfWindow), ...waitingComments]))
  const comments = waitingComments.filter((comment) => !held.has(comment))
  const free = due.filter((window) => !objectsOfWindow(window).some((object) => held.has(object)))
  const inboxes = await lockInboxes(client, [...new Set(free.map((window) => window.userId))], true)
  const windows = await takeDue(client, [...inboxes.keys()], free)
  const preferences = await readPreferences(client, [...inboxes.keys()], inboxes)
  const verdicts = judge(types, inboxes, preferences, windows)
  const moved = await turnAway(client, verdicts, gone)
  const gathered = await gather(client, types, windows, preferences, comments)
  const drafts = gathered.map(({ draft }) => draft)
  const outgrown = gathered.flatMap(({ outgrown }) => outgrown ?? [])
  await storeFolded(client, types, inboxes, { drafts, expiredGroups: outgrown, sources: [], windows: [] })
  await queueDeliveries(client, types, inboxes, drafts)
  await storeCounted(client, preferences)
  await showSources(client, gathered, comments)
  await reopen(client, types, windows, moved)
}

/** Finds the comments to lock before the inboxes. Later comments, and locked ones, wait for the next window. */
async function findWaitingComments(client: pg.ClientBase, windows: Window[]): Promise<string[]> {
  const { rows } = await client.query<{ sourceId: string }>({
    name: 'waiting_comments',
    text: `select distinct s.source_id as "sourceId" from ${keyed.from} ${waiting} where s.source_id like 'comment:%'`,
    values: keyed.values(windows),
  })
  return rows.map((row) => row.sourceId)
}

async function takeDue(client: pg.ClientBase, users: string[], due: Window[]): Promise<Window[]> {
  const { rows } = await client.query<Window>({
    name: 'take_due_windows',
    text: `delete from notify.windows x using ${keyed.from}
           where x.user_id = w.user_id and x.group_key = w.group_key and x.filter = w.filter and x.due_at <= now()
             and x.user_id = any(${keyed.next}::bigint[])
           returning ${windowColumns}`,
    values: [...keyed.values(due), users],
  })
  return rows
}

/**
 * Reopens windows whose sources still wait, because they arrived during the flush. `moved`: windows that got sources from
 * another one. Those that are open keep their end, new ones are due at once.
 */
async function reopen(client: pg.ClientBase, types: TypeLookup, windows: Window[], moved: Window[]): Promise<void> {
  const opened = [
    ...windows.map((window) => ({ ...window, type: types(window.type) })),
    ...moved.map((window) => ({ ...window, type: { ...types(window.type), windowSeconds: 0 } })),
  ]
  const { rows } = await client.query<{ place: number }>({
    name: 'still_waiting',
    text: `select w.place::int as place from ${keyed.from}
           where exists (
             select from notify.sources s
             where s.user_id = w.user_id and s.waits_for = w.group_key and s.waits_filter = w.filter
           )`,
    values: keyed.values(opened),
  })
  const awaited = new Map(
    rows.flatMap(({ place }) => {
      const window = opened[place - 1]
      return window ? [[keyOfGroup(window), window]] : []
    }),
  )
  await openWindows(client, [...awaited.values()])
}
