import type { App } from '../../app.ts'
import { acknowledge } from '../../notify/inbox/acknowledge.ts'
import type { Limits } from '../limits.ts'

const FAILED_MS = 1000

/**
 * Collects the acks of all sockets for a few milliseconds and stores them with one call. Calls run one after the other.
 */
export class Acknowledgements {
  readonly #app: App
  readonly #limits: Limits
  #waiting = new Map<string, number>()
  #timer: NodeJS.Timeout | undefined
  #storing: Promise<void> = Promise.resolve()

  constructor(app: App, limits: Limits) {
    this.#app = app
    this.#limits = limits
  }

  add(userId: string, modseq: number, wait = this.#limits.ackLingerMs): void {
    this.#waiting.set(userId, Math.max(modseq, this.#waiting.get(userId) ?? 0))
    this.#schedule(wait)
  }

  /** Stores the waiting acks. Acks that cannot be stored now are lost; the client's next ack covers them. */
  async close(): Promise<void> {
    clearTimeout(this.#timer)
    await this.#storing
    await this.#store()
    clearTimeout(this.#timer)
  }

  #schedule(wait: number): void {
    this.#timer ??= setTimeout(() => {
      this.#storing = this.#store()
    }, wait)
  }

  async #store(): Promise<void> {
    const waiting = [...this.#waiting].map(([userId, modseq]) => ({ userId, modseq }))
    this.#waiting = new Map()
    try {
      while (waiting.length > 0) {
        // A crash may undo this commit; the next ack covers it. In return, inboxes are not locked until the disk has
        // written.
        await acknowledge(this.#app.pool, waiting.slice(0, this.#limits.acksPerWrite), 'soon')
        waiting.splice(0, this.#limits.acksPerWrite)
      }
      this.#timer = undefined
      if (this.#waiting.size > 0) this.#schedule(this.#limits.ackLingerMs)
    } catch (err) {
      this.#app.log.warn({ err, acks: waiting.length }, 'cannot store acknowledgements; retrying')
      this.#timer = undefined
      for (const { userId, modseq } of waiting) this.add(userId, modseq, FAILED_MS)
    }
  }
}
