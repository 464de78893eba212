import type pg from 'pg'
import type { Logger } from 'pino'
import { Gauge } from 'prom-client'
import { registry } from '../base/metrics.ts'

/** Milliseconds after which an idle transaction is reported. Ravenpost's own transactions are never idle for this long. */
const REPORTED_AFTER_MS = 10_000
const BETWEEN_LINES_MS = 60_000

type Held = {
  pid: number | null
  transaction: string
  role: string
  application: string
  locks: string[]
  waiting: number[]
}
type Seen = { since: number; lineAt: number }

/**
 * Returns a check of who holds locks on our tables, to be called every few seconds. `ravenpost_held_locks_seconds` and
 * the log report a transaction that several checks find. Requests for the locked rows are retried or answered with 503;
 * everything else continues.
 */
export function watchHeldLocks(pool: pg.Pool, log: Logger, reportedAfterMs = REPORTED_AFTER_MS): () => Promise<void> {
  let seen = new Map<string, Seen>()
  return async () => {
    const { rows } = await pool.query<Held>({ name: 'held_locks', text: heldLocks })
    const now = performance.now()
    const before = seen
    seen = new Map()
    let longest = 0
    for (const held of rows) {
      const key = `${held.pid} ${held.transaction}`
      const { since, lineAt } = before.get(key) ?? { since: now, lineAt: Number.NEGATIVE_INFINITY }
      const isLong = now - since >= reportedAfterMs
      const isDue = isLong && now - lineAt >= BETWEEN_LINES_MS
      seen.set(key, { since, lineAt: isDue ? now : lineAt })
      if (isLong) longest = Math.max(longest, now - since)
      if (isDue)
        log.warn(
          { ...held, forMs: Math.round(now - since) },
          'a transaction has held locks on our tables for a long time',
        )
    }
    heldSeconds.set(longest / 1000)
  }
}

const heldLocks = `
  select pid, transaction, role, application, locks, waiting from ops.held_locks where holds_up`

const heldSeconds = new Gauge({
  name: 'ravenpost_held_locks_seconds',
  help: 'For how long a worker has seen the same transaction hold locks on our tables; 0 below 10 s. ops.held_locks shows whose it is',
  registers: [registry],
})
