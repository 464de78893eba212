import type pg from 'pg'
import type { Logger } from 'pino'
import { encodeChangedInboxes } from './notifications/notify-payload.ts'

/**
 * Hints that there is something to do, sent after commit and outside any user's transaction, at most once per few
 * milliseconds and process. Losing one costs milliseconds, never data: the poll and the sweeps find everything.
 */
export type WakeUps = {
  /** Events were committed to the outbox: asks for a dispatch job. */
  eventsAppended(): void
  /** The user's inbox reached this modseq by a request (dispatch notifies in its own transaction). */
  inboxChanged(userId: string, modseq: string | number): void
  /** This session was revoked, or its user deleted: its sockets are to be closed. */
  sessionRevoked(sessionId: string): void
  /** Sends what is waiting and stops. */
  close(): Promise<void>
}

export const INBOX_CHANNEL = 'ravenpost_inbox'
export const SESSION_CHANNEL = 'ravenpost_session'
export const COUNTS_CHANNEL = 'ravenpost_counts'

/** Adding a job costs three small transactions, so wake-ups of one process are gathered this long. */
const LINGER_MS = 4

/** Name and job key of the dispatch job: while one is queued, a further wake-up changes nothing. */
export const DISPATCH_TASK = 'dispatch_outbox'

const addDispatchJob = `select graphile_worker.add_job('${DISPATCH_TASK}', job_key => '${DISPATCH_TASK}', max_attempts => 1)`

export function createWakeUps(pool: pg.Pool, log: Logger, enabled: boolean): WakeUps {
  if (!enabled) return { eventsAppended() {}, inboxChanged() {}, sessionRevoked() {}, async close() {} }

  let events = false
  let inboxes = new Map<string, number>()
  let sessions = new Set<string>()
  let timer: NodeJS.Timeout | undefined
  let sending: Promise<void> = Promise.resolve()

  const schedule = () => {
    timer ??= setTimeout(() => {
      timer = undefined
      sending = sending.then(flush)
    }, LINGER_MS)
  }

  const flush = async () => {
    const queries: Promise<unknown>[] = []
    if (events) queries.push(pool.query(addDispatchJob))
    const messages = [
      ...encodeChangedInboxes(inboxes).map((payload) => [INBOX_CHANNEL, payload] as const),
      ...[...sessions].map((id) => [SESSION_CHANNEL, id] as const),
    ]
    if (messages.length > 0) {
      const [channels, payloads] = [messages.map((m) => m[0]), messages.map((m) => m[1])]
      queries.push(
        pool.query('select pg_notify(c, p) from unnest($1::text[], $2::text[]) m (c, p)', [channels, payloads]),
      )
    }
    events = false
    inboxes = new Map()
    sessions = new Set()
    for (const result of await Promise.allSettled(queries))
      if (result.status === 'rejected')
        log.warn({ err: result.reason }, 'a wake-up was lost; the poll will find the work')
  }

  return {
    eventsAppended() {
      events = true
      schedule()
    },
    inboxChanged(userId, modseq) {
      inboxes.set(userId, Math.max(Number(modseq), inboxes.get(userId) ?? 0))
      schedule()
    },
    sessionRevoked(sessionId) {
      sessions.add(sessionId)
      schedule()
    },
    async close() {
      clearTimeout(timer)
      await sending.then(flush)
    },
  }
}
