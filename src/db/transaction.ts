import type pg from 'pg'
import { isQueryTimeout } from './pool.ts'

/**
 * Runs `work` in one transaction on a connection of its own: commits when it returns, rolls back when it throws.
 * A lock is waited for at most a second (55P03), so that nobody who holds an inbox for long can stop a batch.
 * Statements that do not need each other's answers may be sent together (`Promise.all`): they are run in the order in which
 * they were sent, and after one that failed all others fail.
 */
export async function inTransaction<T>(pool: pg.Pool, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect()
  let broken: Error | boolean = false
  const onError = (error: Error) => {
    broken = error
  }
  client.on('error', onError)
  try {
    const begun = client.query(`begin; set local lock_timeout = '1s'`)
    begun.catch(() => undefined) // what follows on the connection fails too, and says so
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
