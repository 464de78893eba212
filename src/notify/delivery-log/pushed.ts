import type { App } from '../../app.ts'
import { appendToLog, type LogRow } from './append.ts'

const LINGER_MS = 1000
/**
 * Entries beyond this number are dropped while the database is slow: a push node's memory matters more than its log.
 */
const MOST = 20_000

/** Collects what was sent to sockets for a second, and logs it in one statement. */
export class PushedLog {
  readonly #app: App
  #rows: LogRow[] = []
  #timer: NodeJS.Timeout | undefined
  #writing: Promise<void> = Promise.resolve()

  constructor(app: App) {
    this.#app = app
  }

  add(recipientId: string, notificationIds: string[]): void {
    if (this.#rows.length >= MOST) return
    for (const notificationId of notificationIds)
      this.#rows.push({ recipientId, notificationId, event: 'pushed', reason: null })
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      this.#writing = this.#writing.then(() => this.#write())
    }, LINGER_MS)
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer)
    await this.#writing.then(() => this.#write())
  }

  async #write(): Promise<void> {
    const rows = this.#rows
    this.#rows = []
    await appendToLog(this.#app.pool, rows).catch((err) =>
      this.#app.log.warn({ err, rows: rows.length }, 'cannot write pushes to the delivery log'),
    )
  }
}
