import type pg from 'pg'

/**
 * Runs `work` in one transaction on a connection of its own: commits when it returns, rolls back when it throws.
 * A lock is waited for at most a second (55P03), so that nobody who holds an inbox for long can stop a batch.
 */
export async function inTransaction<T>(pool: pg.Pool, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect()
  let broken: Error | undefined
  const onError = (error: Error) => {
    broken = error
  }
  client.on('error', onError)
  try {
    await client.query(`begin; set local lock_timeout = '1s'`)
    const result = await work(client)
    await client.query('commit')
    return result
  } catch (error) {
    await client.query('rollback').catch((rollbackError: Error) => {
      broken = rollbackError
    })
    throw error
  } finally {
    client.off('error', onError)
    client.release(broken)
  }
}
