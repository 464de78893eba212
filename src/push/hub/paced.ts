/** Runs `work` soon after it was asked for: one run at a time, and `betweenMs` between the end of one and the start of the next. */
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

  /** What is asked for during a run is the next run's. */
  ask(): void {
    this.#isAsked = true
    if (this.#isClosed || this.#timer || this.#running) return
    const wait = Math.max(0, this.#endedAt + this.#betweenMs - performance.now())
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#running = this.#run()
    }, wait)
  }

  /** Waits for the run that is under way; none follows. */
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
