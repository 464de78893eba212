import { createHash, ECDH } from 'node:crypto'
import { isIP } from 'node:net'
import type pg from 'pg'
import { inTransaction } from '../db/transaction.ts'
import { fail } from '../errors.ts'
import { translateBusy } from '../notifications/change-inbox.ts'
import { lockInboxes } from '../notifications/locks.ts'
import { refreshReachability } from './reachability.ts'

export type Subscription = { endpoint: string; keys: { p256dh: string; auth: string } }

/** Browsers of one user; the oldest one makes room. */
const MAX_SUBSCRIPTIONS = 20

/**
 * Keeps a browser's subscription, in the caller's transaction, and returns its id. A browser belongs to who signed in there
 * last: whoever had it before hears nothing there any more.
 * @throws {AppError} BAD_ENDPOINT, VALIDATION_FAILED when the key is none, USER_NOT_FOUND
 */
export async function subscribe(client: pg.ClientBase, userId: string, subscription: Subscription): Promise<string> {
  const { endpoint, keys } = subscription
  checkEndpoint(endpoint)
  if (!isPoint(keys.p256dh))
    throw fail('VALIDATION_FAILED', 'It is not a point of the curve P-256', { pointer: '/keys/p256dh' })
  const id = createHash('sha256').update(endpoint).digest('base64url').slice(0, 22)
  await client.query('select pg_advisory_xact_lock(hashtextextended($1, 0))', [id])
  const { rows } = await client.query<{ userId: string }>(
    'select user_id as "userId" from notify.push_subscriptions where id = $1 and user_id <> $2',
    [id, userId],
  )
  const others = rows.map((row) => row.userId)
  const inboxes = await lockInboxes(client, [userId, ...others], false)
  if (!inboxes.has(userId)) throw fail('USER_NOT_FOUND')
  await client.query('delete from notify.push_subscriptions where user_id = any($1::bigint[]) and id = $2', [
    others,
    id,
  ])
  await client.query(
    `insert into notify.push_subscriptions (user_id, id, endpoint, p256dh, auth) values ($1, $2, $3, $4, $5)
     on conflict (user_id, id) do update set p256dh = excluded.p256dh, auth = excluded.auth`,
    [userId, id, endpoint, keys.p256dh, keys.auth],
  )
  await client.query(
    `delete from notify.push_subscriptions where user_id = $1 and id = any(array(
       select id from notify.push_subscriptions where user_id = $1 order by created_at desc offset ${MAX_SUBSCRIPTIONS}))`,
    [userId],
  )
  await refreshReachability(client, [userId, ...others])
  return id
}

/** False when the user has no such subscription. */
export function unsubscribe(pool: pg.Pool, userId: string, id: string): Promise<boolean> {
  return inTransaction(pool, async (client) => {
    await lockInboxes(client, [userId], false)
    const { rowCount } = await client.query('delete from notify.push_subscriptions where user_id = $1 and id = $2', [
      userId,
      id,
    ])
    await refreshReachability(client, [userId])
    return rowCount === 1
  }).catch(translateBusy)
}

/** Whether something can be encrypted for this key: most 65 bytes are not a point of the curve. */
export function isPoint(p256dh: string): boolean {
  try {
    ECDH.convertKey(p256dh, 'prime256v1', 'base64url')
    return true
  } catch {
    return false
  }
}

/** Push services have names. Where a name leads is looked at when it is called: see the agent in web-push.ts. */
function checkEndpoint(endpoint: string): void {
  const url = URL.parse(endpoint)
  const host = url?.hostname.replace(/^\[|\]$/g, '') ?? ''
  if (url?.protocol !== 'https:' || url.username || url.password || isIP(host))
    throw fail('BAD_ENDPOINT', 'Send the object that the browser answered, as it is')
}
