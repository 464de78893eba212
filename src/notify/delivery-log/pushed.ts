import type { App } from '../../app.ts'
import { Pulse } from '../../base/pulse.ts'
import { appendToLog, type LogRow } from './append.ts'

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
