import type { App } from '../../app.ts'
import { Pulse } from '../../base/pulse.ts'
import { type Acknowledgement, acknowledge } from '../../notify/inbox/acknowledge.ts'
import type { Limits } from '../limits.ts'

const FAILED_MS = 1000
/** Delay until the acks of a held inbox are tried again, at the latest. */
const HELD_MS = 100

/**
 * Collects the acks of all sockets for a few milliseconds and stores them with one call. Calls run one after the other.
 * Acks of an inbox that another transaction holds wait for a later call, and nobody else waits for them.
 */
export class Acknowledgements {
  readonly #app: App
  readonly #limits: Limits
  readonly #writes: Pulse
  #waiting = new Map<string, number>()

  constructor(app: App, limits: Limits) {
    this.#app = app
    this.#limits = limits
    this.#writes = new Pulse(() => this.#store(), { betweenMs: limits.ackLingerMs })
  }

  add(userId: string, modseq: number): void {
    this.#keep(userId, modseq)
    this.#writes.requestIn(this.#limits.ackLingerMs)
  }

  /** Stores the waiting acks. Acks that cannot be stored now are lost; the client's next ack covers them. */
  async close(): Promise<void> {
    await this.#writes.close()
    await this.#store()
  }

  async #store(): Promise<void> {
    const waiting = [...this.#waiting].map(([userId, modseq]) => ({ userId, modseq }))
    this.#waiting = new Map()
    const held: Acknowledgement[] = []
    try {
      while (waiting.length > 0) {
        // A crash may undo this commit; the next ack covers it. In return, inboxes are not locked until the disk has
        // written.
        held.push(...(await acknowledge(this.#app.pool, waiting.slice(0, this.#limits.acksPerWrite), 'soon', 'skip')))
        waiting.splice(0, this.#limits.acksPerWrite)
      }
    } catch (err) {
      this.#app.log.warn({ err, acks: waiting.length }, 'cannot store acknowledgements; retrying')
      this.#writes.pause(FAILED_MS)
    }
    this.#again(waiting, this.#limits.ackLingerMs)
    this.#again(held, HELD_MS)
  }

  #again(acknowledgements: Acknowledgement[], afterMs: number): void {
    if (acknowledgements.length === 0) return
    for (const { userId, modseq } of acknowledgements) this.#keep(userId, modseq)
    this.#writes.requestIn(afterMs)
  }

  #keep(userId: string, modseq: number): void {
    this.#waiting.set(userId, Math.max(modseq, this.#waiting.get(userId) ?? 0))
  }
}
