import { createHash, ECDH } from 'node:crypto'
import type pg from 'pg'
import { isLockTimeout } from '../../../base/failure.ts'
import { build, run } from '../../../db/kysely.ts'
import { lockName } from '../../../db/named-lock.ts'
import { inTransaction } from '../../../db/transaction.ts'
import { fail } from '../../../errors.ts'
import type { Identity } from '../../../http/identity.ts'
import { lockInboxes } from '../../dispatch/objects.ts'
import { translateBusy } from '../../inbox/lock.ts'
import { refreshReachability } from '../reachability.ts'
import { isPushService } from './push-hosts.ts'

export type Subscription = { endpoint: string; keys: { p256dh: string; auth: string } }

/** A browser as its owner sees it. The endpoint is never shown. */
export type Browser = { id: string; host: string; createdAt: string; sessionId: string; current: boolean }

/** SQL: whether the session still exists, for a row with session_id and user_id. */
export const sessionLives = (row: string) => `exists (
  select from social.sessions l where l.id = ${row}.session_id and l.user_id = ${row}.user_id and l.revoked_at is null and l.expires_at > now())`

/** Browsers per user. A new one replaces the oldest. */
export const MAX_SUBSCRIPTIONS = 20

/**
 * Stores a browser's subscription until the session ends, in the caller's transaction, and returns its id. A browser
 * belongs to the last user who signed in there. The previous user receives nothing there any more. Taking it over
 * requires its secret besides its endpoint.
 * @throws {AppError} BAD_ENDPOINT, VALIDATION_FAILED for an invalid key, USER_NOT_FOUND, UNAUTHENTICATED when the
 *   session has ended
 */
export async function subscribe(
  client: pg.ClientBase,
  { userId, sessionId }: Pick<Identity, 'userId' | 'sessionId'>,
  { endpoint, keys }: Subscription,
  pushHosts: string[],
): Promise<string> {
  if (!isPushService(endpoint, pushHosts)) throw badEndpoint()
  if (!isPoint(keys.p256dh))
    throw fail('VALIDATION_FAILED', 'Not a point of the curve P-256', { pointer: '/keys/p256dh' })
  await holdSession(client, userId, sessionId)
  const id = createHash('sha256').update(endpoint).digest('base64url').slice(0, 22)
  await lockName(client, `browser:${id}`)
  const { rows } = await client.query<{ userId: string; auth: string }>(
    'select user_id as "userId", auth from notify.push_subscriptions where id = $1 and user_id <> $2',
    [id, userId],
  )
  if (rows.some(({ auth }) => !isSameSecret(auth, keys.auth))) throw badEndpoint()
  const others = rows.map((row) => row.userId)
  const inboxes = await lockInboxes(client, [userId, ...others], false)
  if (!inboxes.has(userId)) throw fail('USER_NOT_FOUND')
  await client.query('delete from notify.push_subscriptions where user_id = any($1::bigint[]) and id = $2', [
    others,
    id,
  ])
  await client.query(
    `insert into notify.push_subscriptions (user_id, id, endpoint, p256dh, auth, session_id) values ($1, $2, $3, $4, $5, $6)
     on conflict (user_id, id) do update
     set p256dh = excluded.p256dh, auth = excluded.auth, session_id = excluded.session_id`,
    [userId, id, endpoint, keys.p256dh, keys.auth, sessionId],
  )
  await client.query(
    `delete from notify.push_subscriptions where user_id = $1 and id = any(array(
       select id from notify.push_subscriptions where user_id = $1 order by created_at desc offset ${MAX_SUBSCRIPTIONS}))`,
    [userId],
  )
  await refreshReachability(client, [userId, ...others])
  return id
}

const badEndpoint = () => fail('BAD_ENDPOINT', 'Send the result of PushSubscription.toJSON() unchanged')

const isSameSecret = (one: string, other: string) => Buffer.from(one, 'base64').equals(Buffer.from(other, 'base64'))

/**
 * Locks the session until the commit. If it ended before, nothing is stored; if it ends later, its end removes the
 * subscription. Locks the session before inboxes, as ending a session does.
 */
async function holdSession(client: pg.ClientBase, userId: string, sessionId: string): Promise<void> {
  const { rowCount } = await client.query(
    `select from social.sessions
     where id = $1::bigint and user_id = $2::bigint and revoked_at is null and expires_at > now() for share`,
    [sessionId, userId],
  )
  if (rowCount === 0) throw fail('UNAUTHENTICATED', 'Sign in again')
}

/** Subscriptions of active sessions, newest first. */
export async function listBrowsers(
  pool: pg.Pool,
  { userId, sessionId }: Pick<Identity, 'userId' | 'sessionId'>,
): Promise<Browser[]> {
  const { rows } = await pool.query<{ id: string; endpoint: string; createdAt: Date; sessionId: string }>(
    `select p.id, p.endpoint, p.created_at as "createdAt", p.session_id as "sessionId" from notify.push_subscriptions p
     where p.user_id = $1 and ${sessionLives('p')} order by p.created_at desc, p.id`,
    [userId],
  )
  return rows.map(({ id, endpoint, createdAt, sessionId: of }) => ({
    id,
    host: new URL(endpoint).hostname,
    createdAt: createdAt.toISOString(),
    sessionId: of,
    current: of === sessionId,
  }))
}

/**
 * Removes the user's browsers whose sessions have ended. Call it in the transaction that ends a session. If the inbox
 * stays locked for long, retention removes them later: nothing is sent to them any more, and ending a session must not
 * fail.
 */
export async function forgetEnded(client: pg.ClientBase, userId: string): Promise<void> {
  const { rowCount } = await client.query(
    `select from notify.push_subscriptions p where p.user_id = $1 and not ${sessionLives('p')} limit 1`,
    [userId],
  )
  if (rowCount === 0) return
  await client.query('savepoint forget_ended')
  try {
    await lockInboxes(client, [userId], false)
    await removeEnded(client, [userId])
  } catch (error) {
    if (!isLockTimeout(error)) throw error
    await client.query('rollback to savepoint forget_ended')
  }
}

/** Requires locked inboxes of these users. */
export async function removeEnded(client: pg.ClientBase, userIds: string[]): Promise<void> {
  await client.query(
    `delete from notify.push_subscriptions p where p.user_id = any($1::bigint[]) and not ${sessionLives('p')}`,
    [userIds],
  )
  await refreshReachability(client, userIds)
}

/** Removes a subscription. False when the user has none with this id. */
export function unsubscribe(pool: pg.Pool, userId: string, id: string): Promise<boolean> {
  return inTransaction(pool, async (client) => {
    await lockInboxes(client, [userId], false)
    const { count } = await run(
      client,
      build.deleteFrom('notify.pushSubscriptions').where('userId', '=', userId).where('id', '=', id),
    )
    await refreshReachability(client, [userId])
    return count === 1
  }).catch(translateBusy)
}

/** Whether the key can be used for encryption. Most 65-byte values are not a point on the curve. */
export function isPoint(p256dh: string): boolean {
  try {
    ECDH.convertKey(p256dh, 'prime256v1', 'base64url')
    return true
  } catch {
    return false
  }
}
