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

/** Inboxes locked at once: a chunk takes some tens of milliseconds, no lane waits long behind it. */
const NOTIFICATIONS_PER_CHUNK = 500

/**
 * Removes what has expired, by the clock of the database: a change of each inbox like any other. Goes on behind inboxes that
 * somebody holds and notifications that cannot be removed; the next run tries them again. Returns how many were removed.
 * `from`: where to begin, a time as PostgreSQL writes it; `complain`: how loudly to log what cannot be removed.
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

/** The time as text, which keeps the microseconds. */
type Key = { expiresAt: string; userId: string; id: number }

/**
 * The next ones behind `last`, as many as a transaction may remove: large groups a few at a time, one at least. Each of the people behind
 * a notification has a source to end.
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

/** In one transaction. When that fails for its content, halved until the bad one is alone, which stays while its neighbours go. */
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

/** Read under the locks: another process may have removed them, or a further send may have prolonged them. */
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

/** Looked for so often: a job for each notification would be many, and the contract allows a second. */
const LOOK_EVERY_MS = 400

/**
 * Tells when something has expired, and where that begins. What was removed stays in the index while an old snapshot is open:
 * a look that began at the start would walk through all of it. A minute before what is there is early enough, since nothing is
 * stored that has expired already (`expired` in load.ts).
 */
export class Expiry {
  #from = '-infinity'
  #lookedAt = Number.NEGATIVE_INFINITY

  /** Where what has expired begins, for `expireNotifications`. */
  get from(): string {
    return this.#from
  }

  /** Asks the database a few times a second at most; in between, false. */
  async isDue(pool: pg.Pool): Promise<boolean> {
    if (performance.now() - this.#lookedAt < LOOK_EVERY_MS) return false
    this.#lookedAt = performance.now()
    const { rows } = await pool.query<{ due: boolean; from: string }>({
      name: 'next_expiry',
      text: `select coalesce(n.expires_at <= now(), false) as due, greatest($1::timestamptz, least(n.expires_at, now()) - interval '1 minute')::text as from
             from (select 1) one left join lateral (
               select expires_at from notify.notifications where expires_at > $1::timestamptz order by expires_at limit 1) n on true`,
      values: [this.#from],
    })
    this.#from = rows[0]?.from ?? this.#from
    return rows[0]?.due ?? false
  }
}
