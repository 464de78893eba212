import type pg from 'pg'
import type { Logger } from 'pino'
import type { App } from '../../app.ts'
import { isContentError } from '../../base/failure.ts'
import { columns, oneByOne } from '../../db/columns.ts'
import { inTransaction } from '../../db/transaction.ts'
import type { Draft } from '../dispatch/model.ts'
import { lockInboxes } from '../dispatch/objects.ts'
import { readNotifications } from '../dispatch/read-drafts.ts'
import { storeRemoved } from '../dispatch/store.ts'
import { SOURCES_PER_CHUNK } from '../fan-outs/end-sources.ts'
import type { TypeLookup } from '../types/types.ts'

/** Notifications per transaction. A chunk locks its inboxes for tens of milliseconds, so that no lane waits long. */
const NOTIFICATIONS_PER_CHUNK = 500

/**
 * Removes expired notifications, by the clock of the database. Skips locked inboxes and notifications that fail; the next run
 * retries them. Returns the number removed. `from`: earliest expiry as a PostgreSQL timestamp. `complain`: log level for
 * failures.
 */
export async function expireNotifications(
  { pool, types, log }: Pick<App, 'pool' | 'types' | 'log'>,
  { from = '-infinity', complain = 'warn' as 'warn' | 'debug' } = {},
): Promise<number> {
  const lookup = await types.current()
  let removed = 0
  let page = await findExpired(pool, { expiresAt: from, userId: '0', id: 0 })
  while (page.length > 0) {
    removed += await expireApart({ pool, types: lookup, log, complain }, page)
    page = await findExpired(pool, page.at(-1))
  }
  return removed
}

/** `expiresAt` is text, which keeps the microseconds. */
type Key = { expiresAt: string; userId: string; id: number }

/**
 * The next expired notifications after `last`; none when all are found. Ends before a notification with which they would have
 * more actors than a chunk may end sources, but includes at least one.
 */
async function findExpired(pool: pg.Pool, last: Key | undefined): Promise<Key[]> {
  const { rows } = await pool.query<Key>({
    name: 'expired_notifications',
    text: `select expires_at::text as "expiresAt", user_id as "userId", id::float8 as id
           from (
             select *, sum(actor_count) over (order by expires_at, user_id, id rows unbounded preceding) as people, row_number() over (order by expires_at, user_id, id) as place
             from (
               select expires_at, user_id, id, actor_count from notify.notifications
               where expires_at <= now() and (expires_at, user_id, id) > ($1::timestamptz, $2::bigint, $3::bigint)
               order by expires_at, user_id, id limit ${NOTIFICATIONS_PER_CHUNK}) n
           ) n
           where place = 1 or people <= ${SOURCES_PER_CHUNK}
           order by place`,
    values: [last?.expiresAt, last?.userId, last?.id],
  })
  return rows
}

type Expiring = { pool: pg.Pool; types: TypeLookup; log: Logger; complain: 'warn' | 'debug' }

/**
 * Removes these in one transaction. If it fails because of its content, halves it until the bad notification is alone. That one
 * stays.
 */
async function expireApart(expiring: Expiring, page: Key[]): Promise<number> {
  const { pool, types, log, complain } = expiring
  try {
    return await inTransaction(pool, (client) => expireChunk(client, types, page))
  } catch (error) {
    if (!isContentError(error)) throw error
    if (page.length === 1) {
      log[complain]({ err: error, notification: page[0] }, 'an expired notification cannot be removed')
      return 0
    }
    const half = Math.ceil(page.length / 2)
    return (await expireApart(expiring, page.slice(0, half))) + (await expireApart(expiring, page.slice(half)))
  }
}

async function expireChunk(client: pg.ClientBase, types: TypeLookup, page: Key[]): Promise<number> {
  const inboxes = await lockInboxes(client, [...new Set(page.map(({ userId }) => userId))], true)
  const expired = await stillExpired(
    client,
    page.filter(({ userId }) => inboxes.has(userId)),
  )
  const stored = new Map<string, Draft>()
  await readNotifications(client, [...inboxes.keys()], expired, stored)
  const drafts = [...stored.values()]
  await storeRemoved(client, types, inboxes, drafts, 'expired')
  return drafts.length
}

/**
 * Finds those that are still expired, under the locks: another process may have removed some, or a later send may have moved their
 * expiry.
 */
async function stillExpired(client: pg.ClientBase, keys: Key[]): Promise<{ userId: string; notificationId: number }[]> {
  const { rows } = await client.query<{ userId: string; notificationId: number }>({
    name: 'still_expired',
    text: `select w.user_id as "userId", w.id::float8 as "notificationId"
           from ${expiring.from}
           ${oneByOne('notify.notifications n where n.user_id = w.user_id and n.id = w.id and n.expires_at <= now()', 'n')}
           where n.user_id = any($1::bigint[])`,
    values: expiring.values(keys),
  })
  return rows
}

const expiring = columns<Key>({
  user_id: ['bigint', ({ userId }) => userId],
  id: ['bigint', ({ id }) => id],
})

/** Milliseconds between checks. One job per notification would be too many, and the API allows a delay of a second. */
const LOOK_EVERY_MS = 400

/** SQL for the next expiry. $1: `Expiry.from`; $2: `Expiry.isNextLook()`, no row if false. */
export const findNextExpiry = `
  select coalesce(n.expires_at <= now(), false) as "isDue", greatest($1::timestamptz, least(n.expires_at, now()) - interval '1 minute')::text as "from"
  from (select 1) one left join lateral (
    select expires_at from notify.notifications where expires_at > $1::timestamptz order by expires_at limit 1) n on true
  where $2::boolean`

/**
 * Where the search for expired notifications begins. The index scan starts a minute before the earliest remaining expiry,
 * because an old snapshot keeps index entries of removed ones. That is early enough: dispatch stores no notification that has
 * already expired (`expired` in load.ts).
 */
export class Expiry {
  #from = '-infinity'
  #lookedAt = Number.NEGATIVE_INFINITY

  /** Start of the expired range, for `expireNotifications`. */
  get from(): string {
    return this.#from
  }

  /** True a few times a second at most. */
  isNextLook(): boolean {
    if (performance.now() - this.#lookedAt < LOOK_EVERY_MS) return false
    this.#lookedAt = performance.now()
    return true
  }

  /** The result of a look. */
  note(from: string | null): void {
    this.#from = from ?? this.#from
  }
}
