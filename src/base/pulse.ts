import type { Logger } from 'pino'

export type PulseOptions = {
  /** Minimum time between the end of one run and the start of the next. */
  betweenMs?: number
  /**
   * If true, `request` itself starts a run that is due. Otherwise the run starts after this turn of the event loop, so
   * that all requests of the turn share it.
   */
  eager?: boolean
}

/**
 * Runs `work` after requests, one run at a time. Requests that come before a run starts share it. Requests that come
 * during a run share the next one. Times are by `performance.now()`.
 */
export class Pulse {
  readonly #work: () => Promise<void>
  readonly #betweenMs: number
  readonly #eager: boolean
  /** Time of the requested run. */
  #at = Number.POSITIVE_INFINITY
  #notBefore = Number.NEGATIVE_INFINITY
  #timer: NodeJS.Timeout | undefined
  #immediate: NodeJS.Immediate | undefined
  #isRunning = false
  #running: Promise<void> = Promise.resolve()
  #isClosed = false

  /** `work` must not reject. */
  constructor(work: () => Promise<void>, { betweenMs = 0, eager = false }: PulseOptions = {}) {
    this.#work = work
    this.#betweenMs = betweenMs
    this.#eager = eager
  }

  /** Requests a run at `at`, or as soon as possible. Of several requests, the earliest time applies. */
  request(at = Number.NEGATIVE_INFINITY): void {
    if (at >= this.#at) return
    this.#at = at
    this.#schedule()
  }

  /** Requests a run in `ms`. An earlier request remains. */
  requestIn(ms: number): void {
    this.request(performance.now() + ms)
  }

  /** Starts no run within the next `ms`. */
  pause(ms: number): void {
    this.#notBefore = Math.max(this.#notBefore, performance.now() + ms)
  }

  /** A run is requested and has not started. */
  get isRequested(): boolean {
    return this.#at < Number.POSITIVE_INFINITY
  }

  /** Resolves when the current run ends; undefined when none runs. */
  get running(): Promise<void> | undefined {
    return this.#isRunning ? this.#running : undefined
  }

  /** Waits for the current run. No other run follows. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#unschedule()
    await this.#running
  }

  #schedule(): void {
    if (this.#isClosed || this.#isRunning || !this.isRequested) return
    this.#unschedule()
    const wait = Math.max(this.#at, this.#notBefore) - performance.now()
    // `setTimeout` waits for at least a millisecond.
    if (wait > 0) this.#timer = setTimeout(this.#run, wait)
    else if (this.#eager) this.#run()
    else this.#immediate = setImmediate(this.#run)
  }

  #unschedule(): void {
    clearTimeout(this.#timer)
    clearImmediate(this.#immediate)
  }

  /** One function for all runs. */
  readonly #run = (): void => {
    this.#at = Number.POSITIVE_INFINITY
    this.#isRunning = true
    this.#running = this.#work().finally(() => {
      this.#isRunning = false
      if (this.#betweenMs > 0) this.pause(this.#betweenMs)
      this.#schedule()
    })
  }
}

/** Runs `work` now, and again `everyMs` after each run. An error is logged, and the next run tries again. */
export function repeat(everyMs: number, log: Logger, name: string, work: () => Promise<void>): Pulse {
  const pulse = new Pulse(async () => {
    await work().catch((err) => log.warn({ err }, `${name} failed; retrying`))
    pulse.requestIn(everyMs)
  })
  pulse.request()
  return pulse
}

/**
 * Repeats until a chunk finds nothing, or only what another transaction holds. Returns the sum of what the chunks
 * found.
 */
export async function repeatChunk(chunk: () => Promise<number>): Promise<number> {
  let total = 0
  for (let count = await chunk(); count > 0; count = await chunk()) total += count
  return total
}
