/**
 * Runs `work` soon after a request. One run at a time, with `betweenMs` between the end of one and the start of the
 * next.
 */
export class Paced {
  readonly #betweenMs: number
  readonly #work: () => Promise<void>
  #timer: NodeJS.Timeout | undefined
  #isAsked = false
  #endedAt = Number.NEGATIVE_INFINITY
  #running: Promise<void> | undefined
  #isClosed = false

  /** `work` must not reject. */
  constructor(betweenMs: number, work: () => Promise<void>) {
    this.#betweenMs = betweenMs
    this.#work = work
  }

  /** A request during a run is left for the next run. */
  ask(): void {
    this.#isAsked = true
    if (this.#isClosed || this.#timer || this.#running) return
    const wait = Math.max(0, this.#endedAt + this.#betweenMs - performance.now())
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#running = this.#run()
    }, wait)
  }

  /** Waits for the current run. No other run follows. */
  async close(): Promise<void> {
    this.#isClosed = true
    clearTimeout(this.#timer)
    await this.#running
  }

  async #run(): Promise<void> {
    this.#isAsked = false
    await this.#work()
    this.#endedAt = performance.now()
    this.#running = undefined
    if (this.#isAsked) this.ask()
  }
}
