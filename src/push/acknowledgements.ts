import type { App } from '../app.ts'
import { acknowledge } from '../notifications/acknowledge.ts'

const FAILED_MS = 1000

/** Gathers the acks of all sockets for a few milliseconds and stores them with one call, one after the other. */
export class Acknowledgements {
  readonly #app: App
  readonly #lingerMs: number
  #waiting = new Map<string, number>()
  #timer: NodeJS.Timeout | undefined
  #storing: Promise<void> = Promise.resolve()

  constructor(app: App, lingerMs: number) {
    this.#app = app
    this.#lingerMs = lingerMs
  }

  add(userId: string, modseq: number): void {
    this.#waiting.set(userId, Math.max(modseq, this.#waiting.get(userId) ?? 0))
    this.#schedule(this.#lingerMs)
  }

  /** Stores what is waiting; what cannot be stored now is lost, and acknowledged again by the next ack. */
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
    const acks = [...this.#waiting].map(([userId, modseq]) => ({ userId, modseq }))
    this.#waiting = new Map()
    try {
      if (acks.length > 0) await acknowledge(this.#app.pool, acks)
      this.#timer = undefined
      if (this.#waiting.size > 0) this.#schedule(this.#lingerMs)
    } catch (err) {
      this.#app.log.warn({ err, acks: acks.length }, 'cannot store acknowledgements, trying again')
      this.#timer = undefined
      for (const { userId, modseq } of acks) this.#waiting.set(userId, Math.max(modseq, this.#waiting.get(userId) ?? 0))
      this.#schedule(FAILED_MS)
    }
  }
}
