import { setTimeout as delay } from 'node:timers/promises'
import type pg from 'pg'
import type { Config } from '../config.ts'
import { createPool, isQueryTimeout, type PoolOptions } from '../db/pool.ts'

const FIRST_WAIT_MS = 50
const LAST_WAIT_MS = 1000

export type JobPool = {
  pool: pg.Pool
  /**
   * Stops waiting for the database: afterwards a statement that fails returns no rows, so that shutdown does not hang.
   */
  giveUp(): void
}

type Query = Parameters<pg.PoolClient['query']>

/** One connection per job, and two for LISTEN and the cron. */
export function jobPoolSize({ workerConcurrency }: Config): number {
  return workerConcurrency + 2
}

/**
 * The pool for graphile-worker, which does not await the statement that ends a job. A lost connection would cause an unhandled
 * rejection and end the process. This pool therefore repeats such a statement on another connection. It may run twice, which is
 * harmless because jobs are hints.
 */
export function createJobPool(options: PoolOptions): JobPool {
  const pool = createPool({ ...options, pipeline: false })
  const connect = pool.connect.bind(pool)
  let givenUp = false

  const query = async (...statement: Query): Promise<unknown> => {
    for (let wait = FIRST_WAIT_MS; ; wait = Math.min(LAST_WAIT_MS, 2 * wait)) {
      try {
        return await queryOnce(await connect(), statement)
      } catch (error) {
        if (givenUp) return { rows: [], rowCount: 0 }
        if (!isLostConnection(error)) throw error
        options.log.debug({ err: error, wait }, 'a job statement lost its connection; retrying')
        await delay(wait)
      }
    }
  }

  // graphile-worker runs single statements on a connection, except for LISTEN, where it passes a callback.
  const lent = { query, release() {} }
  const lend = (callback?: Parameters<typeof connect>[0]) => (callback ? connect(callback) : Promise.resolve(lent))
  return {
    pool: Object.assign(pool, { connect: lend }),
    giveUp() {
      givenUp = true
    },
  }
}

async function queryOnce(client: pg.PoolClient, statement: Query): Promise<unknown> {
  let lost = false
  try {
    return await client.query(...statement)
  } catch (error) {
    lost = isLostConnection(error)
    throw error
  } finally {
    client.release(lost)
  }
}

/**
 * Errors after which the connection is lost: socket errors without SQLSTATE; classes 08 (connection), 53 (no resources), 57P
 * (shutdown, crash); and 57014 (timeout).
 */
function isLostConnection(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  if (isQueryTimeout(error)) return true
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  if (code !== '') return /^(08...|53...|57P..|57014|E[A-Z]{3,})$/.test(code)
  return /connection terminated|connection error|connection timeout|timeout exceeded/i.test(error.message)
}
