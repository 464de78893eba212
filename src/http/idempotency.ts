import { createHash } from 'node:crypto'
import { Type } from '@sinclair/typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type pg from 'pg'
import { isLockTimeout } from '../base/failure.ts'
import { inTransaction, LOCK_TIMEOUT, together } from '../db/transaction.ts'
import { fail } from '../errors.ts'

export const IDEMPOTENCY_KEPT = '24 hours'

/** Only for the API document; `idempotencyKeyOf` checks the header. */
export const IdempotencyHeader = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({ description: 'For 24 hours, a request with the same key and body returns the first response' }),
  ),
})

/** The caller to whom a key belongs: two callers may use the same key. */
export type Caller = `user:${string}` | `token:${string}`

export function callerOf({ service, user }: FastifyRequest): Caller {
  return service ? `token:${service.tokenId}` : `user:${user.userId}`
}

/**
 * Runs `work` in one transaction and sends its result with this status. With an Idempotency-Key
 * (draft-ietf-httpapi-idempotency-key-header) the transaction also stores the response, and a repeated request gets the
 * stored response with `Idempotent-Replayed`. Failures are not stored.
 * @throws {AppError} IDEMPOTENCY_KEY_REUSED for another request, IDEMPOTENCY_KEY_BUSY while the first is in progress
 */
export async function answerOnce<T>(
  pool: pg.Pool,
  request: FastifyRequest,
  reply: FastifyReply,
  status: number,
  work: (trx: pg.PoolClient) => Promise<T>,
): Promise<T> {
  const key = idempotencyKeyOf(request)
  reply.code(status)
  if (key === undefined) return inTransaction(pool, work)
  const [caller, hash] = [callerOf(request), hashOf(request)]
  const answer = await inTransaction(pool, async (trx) => {
    if (await takeKey(trx, [caller, key, hash])) {
      const body = await work(trx)
      await keepAnswer(trx, [caller, key, status, JSON.stringify(body)])
      return { status, body, replayed: false }
    }
    const known = await findAnswer<T>(trx, caller, key)
    if (!known.requestHash.equals(hash))
      throw fail('IDEMPOTENCY_KEY_REUSED', 'Use a new Idempotency-Key for another request')
    return { status: known.status, body: known.body, replayed: true }
  })
  if (answer.replayed) reply.header('idempotent-replayed', 'true')
  reply.code(answer.status)
  return answer.body
}

/**
 * Stores the response of a POST that only reads. The work runs before the transaction, which must stay short, and not at all for a
 * key that has an answer.
 */
export async function answerReadOnce<T>(
  pool: pg.Pool,
  request: FastifyRequest,
  reply: FastifyReply,
  work: () => Promise<T>,
): Promise<T> {
  if (await hasAnswer(pool, request)) return answerOnce(pool, request, reply, 200, work)
  const answer = await work()
  return answerOnce(pool, request, reply, 200, async () => answer)
}

async function hasAnswer(pool: pg.Pool, request: FastifyRequest): Promise<boolean> {
  const key = idempotencyKeyOf(request)
  if (key === undefined) return false
  const { rowCount } = await pool.query(
    `select from social.idempotency_keys
     where caller = $1 and key = $2 and created_at > now() - interval '${IDEMPOTENCY_KEPT}'`,
    [callerOf(request), key],
  )
  return rowCount === 1
}

/**
 * Reads the header.
 * @throws {AppError} when it exists and does not have 1 to 255 printable characters
 */
export function idempotencyKeyOf({ headers }: FastifyRequest): string | undefined {
  const key = headers['idempotency-key']
  if (key === undefined) return undefined
  if (typeof key !== 'string' || !/^[\x21-\x7e]{1,255}$/.test(key))
    throw fail('VALIDATION_FAILED', 'Idempotency-Key must be 1 to 255 printable ASCII characters without spaces', {
      pointer: '/idempotency-key',
    })
  return key
}

/** How long a request waits for the first request with its key. */
const BUSY_AFTER = '100ms'

/**
 * Whether the key is new. Its row is inserted before the work, so a concurrent second request waits for the first to
 * commit or roll back. A row lock is safer than an advisory lock, which any role may hold.
 */
async function takeKey(trx: pg.PoolClient, values: unknown[]): Promise<boolean> {
  try {
    const [, { rowCount }] = await together([
      trx.query(`set local lock_timeout = '${BUSY_AFTER}'`),
      trx.query(
        `insert into social.idempotency_keys as k (caller, key, request_hash, status) values ($1, $2, $3, 0)
         on conflict (caller, key) do update set request_hash = excluded.request_hash, created_at = now()
         where k.created_at <= now() - interval '${IDEMPOTENCY_KEPT}'`,
        values,
      ),
      trx.query(`set local lock_timeout = '${LOCK_TIMEOUT}'`),
    ])
    return rowCount === 1
  } catch (error) {
    if (!isLockTimeout(error)) throw error
    throw fail('IDEMPOTENCY_KEY_BUSY', 'The first request with this key is still in progress', {
      retryAfter: 1,
      cause: error,
    })
  }
}

async function keepAnswer(trx: pg.PoolClient, values: unknown[]): Promise<void> {
  await trx.query('update social.idempotency_keys set status = $3, answer = $4 where caller = $1 and key = $2', values)
}

/**
 * The stored response of the first request with the key. Both requests have the same hash, so `body` has the type of
 * this call.
 */
type Answer<T> = { requestHash: Buffer; status: number; body: T }

async function findAnswer<T>(trx: pg.PoolClient, caller: Caller, key: string): Promise<Answer<T>> {
  const { rows } = await trx.query<Answer<T>>(
    `select request_hash as "requestHash", status, answer as body from social.idempotency_keys
     where caller = $1 and key = $2`,
    [caller, key],
  )
  if (!rows[0]) throw fail('BUSY', 'The stored response of the first request has just expired', { retryAfter: 1 })
  return rows[0]
}

function hashOf({ method, url, body }: FastifyRequest): Buffer {
  return createHash('sha256')
    .update(JSON.stringify([method, url, body]))
    .digest()
}
