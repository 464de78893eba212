import { setTimeout as delay } from 'node:timers/promises'
import type pg from 'pg'
import { createPool, isQueryTimeout, type PoolOptions } from '../db/pool.ts'

const FIRST_WAIT_MS = 50
const LAST_WAIT_MS = 1000

export type JobPool = {
  pool: pg.Pool
  /** From now on a statement that cannot be run finds nothing and does nothing, so that stopping never waits for a database that is down. */
  giveUp(): void
}

type Query = Parameters<pg.PoolClient['query']>

/**
 * The pool that graphile-worker works with. It does not await the statement that ends a job, so one that failed because its
 * connection was lost would be a rejection nobody handles, and end the process. Here a statement whose connection was lost is
 * run again on another one until it is answered. It may so have run twice, which jobs, being hints, allow.
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

  // What graphile-worker does with a connection is one statement at a time, except LISTEN, for which it calls with a callback.
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
 * Errors of the socket, and of pg about one, which have no SQLSTATE; and those that the server refuses or ends a session
 * with: classes 08 (connection), 53 (no slot, no memory, no disk) and 57P (shutdown, crash, starting up); and 57014, of one
 * that took too long.
 */
function isLostConnection(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  if (isQueryTimeout(error)) return true
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  if (code !== '') return /^(08...|53...|57P..|57014|E[A-Z]{3,})$/.test(code)
  return /connection terminated|connection error|connection timeout|timeout exceeded/i.test(error.message)
}
