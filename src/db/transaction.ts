import type pg from 'pg'
import { isQueryTimeout } from './pool.ts'

export type Durability = 'at once' | 'soon'

/** Of every lock in `inTransaction`. */
export const LOCK_TIMEOUT = '1s'

/**
 * A statement that was sent and is not awaited yet, or what is made of its answer. PostgreSQL runs the statements of a
 * connection in the order in which they were sent. `together` awaits them.
 */
export type Sent<T> = Promise<T>

const BEGIN = `begin; set local lock_timeout = '${LOCK_TIMEOUT}'`

/**
 * Runs `work` in one transaction on a connection of its own: commits when it returns, rolls back when it throws.
 * A lock is waited for at most a second (55P03), so that nobody who holds an inbox for long can stop a batch.
 * What is to be durable `soon` does not wait for the disk: a crash of PostgreSQL may undo the last moments of it, whole.
 * A `begin` may be cancelled like any statement, and what was sent behind it would then commit one by one: so it is awaited. It
 * may be `sent along` where `work` writes nothing before it has seen that it runs in the transaction; that saves a round trip.
 * Statements that do not need each other's answers may be sent `together`: they are run in the order in which they were sent,
 * and after one that failed all others fail.
 */
export async function inTransaction<T>(
  pool: pg.Pool,
  work: (client: pg.PoolClient) => Promise<T>,
  durability: Durability = 'at once',
  beginning: 'awaited' | 'sent along' = 'awaited',
): Promise<T> {
  const client = await pool.connect()
  let broken: Error | boolean = false
  const onError = (error: Error) => {
    broken = error
  }
  client.on('error', onError)
  try {
    const begun: Sent<unknown> = client.query(
      durability === 'soon' ? `${BEGIN}; set local synchronous_commit = off` : BEGIN,
    )
    if (beginning === 'awaited') await begun
    else begun.catch(() => undefined) // awaited below
    const result = await work(client)
    await begun
    await client.query('commit')
    return result
  } catch (error) {
    if (isQueryTimeout(error)) broken = true
    else
      await client.query('rollback').catch((rollbackError: Error) => {
        broken = rollbackError
      })
    throw error
  } finally {
    client.off('error', onError)
    client.release(broken)
  }
}

const IN_FAILED_TRANSACTION = '25P02'

/**
 * Waits for statements that were sent together in a transaction, and for what was made of their answers. When one has failed,
 * all after it have failed too, for being in a failed transaction: what is thrown is the failure, not its consequences.
 */
export async function together<T extends readonly unknown[] | []>(
  statements: T,
): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  const settled = await Promise.allSettled(statements)
  const failures = settled.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []))
  if (failures.length > 0) throw failures.find(({ code }) => code !== IN_FAILED_TRANSACTION) ?? failures[0]
  return Promise.all(statements)
}
