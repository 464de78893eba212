import { createHash, ECDH } from 'node:crypto'
import type pg from 'pg'
import { isLockTimeout } from '../../../base/failure.ts'
import { lockName } from '../../../db/named-lock.ts'
import { inTransaction } from '../../../db/transaction.ts'
import { fail } from '../../../errors.ts'
import type { Identity } from '../../../http/identity.ts'
import { lockInboxes } from '../../dispatch/objects.ts'
import { translateBusy } from '../../inbox/lock.ts'
import { refreshReachability } from '../reachability.ts'
import { isPushService } from './push-hosts.ts'

export type Subscription = { endpoint: string; keys: { p256dh: string; auth: string } }

/** As its owner sees it: the endpoint is shown to nobody. */
export type Browser = { id: string; host: string; createdAt: string; sessionId: string; current: boolean }

/** Of a row with session_id and user_id: whether the session goes on. */
export const sessionLives = (row: string) => `exists (
  select from social.sessions l where l.id = ${row}.session_id and l.user_id = ${row}.user_id and l.revoked_at is null and l.expires_at > now())`

/** Browsers of one user; the oldest one makes room. */
export const MAX_SUBSCRIPTIONS = 20

/**
 * Keeps a browser's subscription until the session ends, in the caller's transaction, and returns its id. A browser belongs to
 * the user who signed in there last; the one before gets nothing there any more. Taking it over needs its secret, not only its
 * endpoint.
 * @throws {AppError} BAD_ENDPOINT, VALIDATION_FAILED when the key is none, USER_NOT_FOUND, UNAUTHENTICATED when the session has ended
 */
export async function subscribe(
  client: pg.ClientBase,
  { userId, sessionId }: Pick<Identity, 'userId' | 'sessionId'>,
  { endpoint, keys }: Subscription,
  pushHosts: string[],
): Promise<string> {
  if (!isPushService(endpoint, pushHosts)) throw badEndpoint()
  if (!isPoint(keys.p256dh))
    throw fail('VALIDATION_FAILED', 'It is not a point of the curve P-256', { pointer: '/keys/p256dh' })
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

const badEndpoint = () => fail('BAD_ENDPOINT', 'Send the object that the browser answered, as it is')

const isSameSecret = (one: string, other: string) => Buffer.from(one, 'base64').equals(Buffer.from(other, 'base64'))

/** Until the commit: it ends before, and nothing is kept, or after, and takes with it what is kept. Locked before inboxes, as by what ends it. */
async function holdSession(client: pg.ClientBase, userId: string, sessionId: string): Promise<void> {
  const { rowCount } = await client.query(
    `select from social.sessions
     where id = $1::bigint and user_id = $2::bigint and revoked_at is null and expires_at > now() for share`,
    [sessionId, userId],
  )
  if (rowCount === 0) throw fail('UNAUTHENTICATED', 'Sign in again')
}

/** Those of living sessions, newest first. */
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
 * Removes the user's browsers whose sessions have ended. To be called in the transaction that ends one. While somebody holds
 * the inbox for long they stay until retention: nothing is sent there any more, and no end of a session may fail.
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

/** Of users whose inboxes are locked. */
export async function removeEnded(client: pg.ClientBase, userIds: string[]): Promise<void> {
  await client.query(
    `delete from notify.push_subscriptions p where p.user_id = any($1::bigint[]) and not ${sessionLives('p')}`,
    [userIds],
  )
  await refreshReachability(client, userIds)
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
