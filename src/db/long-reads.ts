import type { Writable } from 'node:stream'
import type pg from 'pg'
import type { Logger } from 'pino'
import { isTimeout } from '../base/failure.ts'
import type { Config } from '../config.ts'
import { fail } from '../errors.ts'
import { createPool, isPooled } from './pool.ts'

/** Maximum number of long reads at a time in a process, each on a connection of its own. */
export const LONG_READS = 2
/** Maximum number of reads that wait for one of the connections, at most ten seconds. */
const MOST_WAITING = 4
/** Maximum duration of a long read. */
const TOTAL_MS = 30_000
const RETRY_AFTER_SECONDS = 5

/** Reads of whole audiences. They use connections of their own, so that they do not delay the requests of users. */
export class LongReads {
  readonly #pool: pg.Pool
  readonly #totalMs: number

  constructor({ config, log, totalMs = TOTAL_MS }: { config: Config; log: Logger; totalMs?: number }) {
    const [url, pooled] = [config.databaseUrl, isPooled(config)]
    this.#pool = createPool({ url, size: LONG_READS, log, name: 'long reads', queryTimeoutMs: TOTAL_MS, pooled })
    this.#totalMs = totalMs
  }

  /**
   * Runs `work`. Ends after 30 seconds, and when `response` closes because its client has left.
   * @throws {AppError} BUSY when too many others run and wait, READ_TOO_SLOW
   */
  async run<T>(response: Writable, work: (client: pg.ClientBase) => Promise<T>): Promise<T> {
    if (this.#pool.waitingCount >= MOST_WAITING)
      throw fail('BUSY', 'Too many estimates or dry runs are in progress', { retryAfter: RETRY_AFTER_SECONDS })
    const client = await this.#pool.connect()
    const ended = Promise.withResolvers<never>()
    const end = () => ended.reject(fail('READ_TOO_SLOW'))
    const timer = setTimeout(end, this.#totalMs)
    response.once('close', end)
    if (response.destroyed) end()
    let failed = true
    try {
      const result = await Promise.race([work(client), ended.promise])
      failed = false
      return result
    } catch (error) {
      throw isTimeout(error) ? fail('READ_TOO_SLOW', undefined, { cause: error }) : error
    } finally {
      clearTimeout(timer)
      response.off('close', end)
      // Closes the connection of a read that failed: PostgreSQL then cancels its statement.
      client.release(failed)
    }
  }

  close(): Promise<void> {
    return this.#pool.end()
  }
}

/**
 * Runs `work` in a read-only transaction with one snapshot, and rolls it back. So nothing remains that a query has set for
 * its session. A statement takes at most `timeoutMs`.
 */
export async function inSnapshot<T>(client: pg.ClientBase, timeoutMs: number, work: () => Promise<T>): Promise<T> {
  await client.query(
    `begin isolation level repeatable read, read only; set local statement_timeout = ${Math.round(timeoutMs)}`,
  )
  try {
    return await work()
  } finally {
    await client.query('rollback')
  }
}
