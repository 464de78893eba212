import type { App } from '../../app.ts'
import { Pulse } from '../../base/pulse.ts'
import type { Queryable } from '../../db/client.ts'
import { columns } from '../../db/columns.ts'
import type { Folded } from '../dispatch/model.ts'

export type LogRow = {
  recipientId: string
  notificationId: number | string | null
  event: 'stored' | 'pushed' | 'filtered'
  reason: string | null
  /** A modseq of the inbox: that of the stored change, or that at the end of the frame. */
  modseq?: number
  /** Sign-in sessions to whose sockets the frame was sent. */
  sessions?: string[]
}

/**
 * SQL condition for statements that add to the log. Without a partition for the current time nothing is logged, and no
 * statement fails.
 */
export const logIsOpen = 'exists (select from notify.delivery_log_days where from_at <= now() and to_at > now())'

/**
 * SQL insert: logs when notifications that are removed were stored. While a notification exists, its own row has that,
 * and the view notify.delivery_history shows it. `removed`: rows of notify.notifications.
 */
export const logStored = (removed: string) => `
  insert into notify.delivery_log (at, recipient_id, notification_id, event, channel, modseq)
  select n.created_at, n.user_id, n.id, 'stored', 'inApp', n.id from ${removed} n
  where n.filter_reason is null
    and exists (select from notify.delivery_log_days d where d.from_at <= n.created_at and d.to_at > n.created_at)`

/** Logs what happened to in-app notifications, in one statement. */
export async function appendToLog(client: Queryable, rows: LogRow[]): Promise<void> {
  if (rows.length === 0) return
  await client.query({
    name: 'append_to_delivery_log',
    text: `insert into notify.delivery_log (recipient_id, notification_id, event, channel, reason, modseq, sessions)
           select recipient_id, notification_id, event, 'inApp', reason, modseq, sessions::bigint[] from ${logged.from}
           where ${logIsOpen}`,
    values: logged.values(rows),
  })
}

const logged = columns<LogRow>({
  recipient_id: ['bigint', (row) => row.recipientId],
  notification_id: ['bigint', (row) => row.notificationId],
  event: ['text', (row) => row.event],
  reason: ['text', (row) => row.reason],
  modseq: ['bigint', (row) => row.modseq],
  sessions: ['text', (row) => row.sessions && `{${row.sessions.join(',')}}`],
})

/**
 * Logs the results of a batch: notifications that grew or are filtered, and events without a notification. Call it
 * after the notifications have ids. Does not log a new notification: its `created_at` has the time, see `logStored`.
 */
export function logOf({ drafts, sources }: Folded): LogRow[] {
  const grown = drafts.filter(
    ({ grown, removed, id, grownModseq, filtered }) => grown && !removed && id !== 0 && (filtered || grownModseq > id),
  )
  const suppressed = sources.filter((source) => source.decision === 'suppressed')
  return [
    ...grown.map(
      ({ userId, id, filterReason, grownModseq }): LogRow => ({
        recipientId: userId,
        notificationId: id,
        event: filterReason ? 'filtered' : 'stored',
        reason: filterReason,
        modseq: grownModseq,
      }),
    ),
    ...suppressed.map(
      ({ userId, decidedBy }): LogRow => ({
        recipientId: userId,
        notificationId: null,
        event: 'filtered',
        reason: decidedBy,
      }),
    ),
  ]
}

const LINGER_MS = 1000
/** Maximum number of waiting entries. Further ones are dropped, because the memory of a push node matters more than the log. */
const MOST = 20_000

/** Collects entries about notifications sent to sockets, and logs them once a second in one statement. */
export class PushedLog {
  readonly #app: App
  #rows: LogRow[] = []
  readonly #writes = new Pulse(() => this.#write())

  constructor(app: App) {
    this.#app = app
  }

  /** `modseq`: that at the end of the frame, which these sessions received. */
  add(recipientId: string, notificationIds: string[], modseq: number, sessions: string[]): void {
    if (this.#rows.length >= MOST) return
    for (const notificationId of notificationIds)
      this.#rows.push({ recipientId, notificationId, event: 'pushed', reason: null, modseq, sessions })
    this.#writes.requestIn(LINGER_MS)
  }

  async close(): Promise<void> {
    await this.#writes.close()
    await this.#write()
  }

  async #write(): Promise<void> {
    const rows = this.#rows
    this.#rows = []
    await appendToLog(this.#app.pool, rows).catch((err) =>
      this.#app.log.warn({ err, rows: rows.length }, 'cannot write pushes to the delivery log'),
    )
  }
}
