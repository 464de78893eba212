import type pg from 'pg'
import { isQueryTimeout } from './pool.ts'

export type Durability = 'at once' | 'soon'

/** Lock timeout in `inTransaction`. */
export const LOCK_TIMEOUT = '1s'

/**
 * A statement that was sent and is not awaited yet, or a value computed from its result. PostgreSQL runs the statements
 * of a connection in the order in which they were sent. `together` awaits them.
 */
export type Sent<T> = Promise<T>

const BEGIN = `begin; set local lock_timeout = '${LOCK_TIMEOUT}'`

/**
 * Runs `work` in one transaction on its own connection: commits when it returns, rolls back when it throws. A statement
 * waits at most a second for a lock (55P03).
 * @param durability `soon`: the commit does not wait for the disk; a crash of PostgreSQL may undo the latest transactions
 * @param beginning `sent along` saves a round trip. Use it only where `work` writes nothing before it has seen that it runs
 * in the transaction: if `begin` is cancelled, later statements commit one by one.
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
    else begun.catch(() => undefined) // `together` awaits it below
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
 * Waits for statements that were sent together in a transaction, and for values computed from their results. When one
 * fails, all later ones fail too, because the transaction has failed. Throws the first failure, not its consequences.
 */
export async function together<T extends readonly unknown[] | []>(
  statements: T,
): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  const settled = await Promise.allSettled(statements)
  const failures = settled.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []))
  if (failures.length > 0) throw failures.find(({ code }) => code !== IN_FAILED_TRANSACTION) ?? failures[0]
  return Promise.all(statements)
}
