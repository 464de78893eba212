import type { App } from '../../app.ts'
import { type FanOutKinds, runFanOuts } from './run.ts'

/**
 * Parallel chunks in this process. Two keep a machine's cores busy with a million recipients. They leave connections
 * and jobs to the lanes, so that ordinary likes are dispatched meanwhile.
 */
const SIDE_BY_SIDE = 2

/** Runs the fan-outs of this process. Row locks keep processes apart. */
export class FanOutRunner {
  readonly #kinds: FanOutKinds
  readonly #running = new Set<Promise<void>>()
  #stopping = false

  constructor(kinds: FanOutKinds) {
    this.#kinds = kinds
  }

  /** True if another call of `run` would do nothing. */
  get full(): boolean {
    return this.#stopping || this.#running.size >= SIDE_BY_SIDE
  }

  /** Runs what is due to its end, in parallel with other calls. */
  async run(app: Pick<App, 'pool' | 'log' | 'types'>): Promise<void> {
    if (this.full) return
    const run = runFanOuts(app, this.#kinds, () => this.#stopping)
    this.#running.add(run)
    await run.finally(() => this.#running.delete(run))
  }

  /** Waits for the running chunks and starts no others. */
  async close(): Promise<void> {
    this.#stopping = true
    await Promise.allSettled(this.#running)
  }
}
