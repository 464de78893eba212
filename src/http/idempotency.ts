import { createHash } from 'node:crypto'
import { Type } from '@sinclair/typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type pg from 'pg'
import { inTransaction } from '../db/transaction.ts'
import { fail } from '../errors.ts'

const KEPT = '24 hours'

/** For the document; `idempotencyKeyOf` checks it. */
export const IdempotencyHeader = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({ description: 'The same key and body again are answered with the first answer, for 24 hours' }),
  ),
})

/** Whose keys they are: two callers may use the same one. */
export type Caller = `user:${string}` | `token:${string}`

/**
 * Runs `work` in one transaction and returns what it returned, to be sent with this status. With an Idempotency-Key (draft-ietf-httpapi-idempotency-key-header)
 * the answer is kept in that transaction: the same request again is answered with it, and nothing is done. What fails is not
 * kept. Replays carry `Idempotent-Replayed`.
 * @throws {AppError} IDEMPOTENCY_KEY_REUSED for another request, IDEMPOTENCY_KEY_BUSY while the first is under way
 */
export async function answerOnce<T>(
  pool: pg.Pool,
  request: FastifyRequest,
  reply: FastifyReply,
  caller: Caller,
  status: number,
  work: (trx: pg.PoolClient) => Promise<T>,
): Promise<T> {
  const key = idempotencyKeyOf(request)
  reply.code(status)
  if (key === undefined) return inTransaction(pool, work)
  const hash = hashOf(request)
  const answer = await inTransaction(pool, async (trx) => {
    const known = await findAnswer<T>(trx, caller, key)
    if (known && !known.requestHash.equals(hash))
      throw fail('IDEMPOTENCY_KEY_REUSED', 'Use a new Idempotency-Key for another request')
    // What this call answered to the same request, so of the same form.
    if (known) return { status: known.status, body: known.body as T, replayed: true }
    const body = await work(trx)
    await keepAnswer(trx, [caller, key, hash, status, JSON.stringify(body)])
    return { status, body, replayed: false }
  })
  if (answer.replayed) reply.header('idempotent-replayed', 'true')
  reply.code(answer.status)
  return answer.body
}

/** @throws {AppError} when the header is there and is not 1 to 255 printable characters */
export function idempotencyKeyOf({ headers }: FastifyRequest): string | undefined {
  const key = headers['idempotency-key']
  if (key === undefined) return undefined
  if (typeof key !== 'string' || !/^[\x21-\x7e]{1,255}$/.test(key))
    throw fail('VALIDATION_FAILED', 'Idempotency-Key must be 1 to 255 printable ASCII characters without spaces', {
      pointer: '/idempotency-key',
    })
  return key
}

type Answer<T> = { requestHash: Buffer; status: number; body: T }

/** Under an advisory lock until the transaction ends: of two requests at once one is told that the other is under way. */
async function findAnswer<T>(trx: pg.PoolClient, caller: Caller, key: string): Promise<Answer<T> | undefined> {
  const { rows: locks } = await trx.query<{ locked: boolean }>(
    'select pg_try_advisory_xact_lock(hashtextextended($1, 0)) as locked',
    [`idempotency ${caller} ${key}`],
  )
  if (!locks[0]?.locked)
    throw fail('IDEMPOTENCY_KEY_BUSY', 'The first request with this key is under way', { retryAfter: 1 })
  const { rows } = await trx.query<Answer<T>>(
    `select request_hash as "requestHash", status, answer as body from social.idempotency_keys
     where caller = $1 and key = $2 and created_at > now() - interval '${KEPT}'`,
    [caller, key],
  )
  return rows[0]
}

async function keepAnswer(trx: pg.PoolClient, values: unknown[]): Promise<void> {
  await trx.query(
    `insert into social.idempotency_keys (caller, key, request_hash, status, answer) values ($1, $2, $3, $4, $5)
     on conflict (caller, key) do update
     set request_hash = excluded.request_hash, status = excluded.status, answer = excluded.answer, created_at = now()`,
    values,
  )
}

function hashOf({ method, url, body }: FastifyRequest): Buffer {
  return createHash('sha256')
    .update(JSON.stringify([method, url, body]))
    .digest()
}
