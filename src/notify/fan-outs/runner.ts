import type { App } from '../../app.ts'
import { type FanOutKinds, runFanOuts } from './run.ts'

/**
 * Chunks under way in this process: two keep a machine's cores busy with a million recipients, and leave connections and
 * places among the jobs to the lanes, so that an ordinary like is dispatched meanwhile.
 */
const SIDE_BY_SIDE = 2

/** Runs the fan-outs of this process. Other processes take other rows; their locks keep them apart. */
export class FanOutRunner {
  readonly #kinds: FanOutKinds
  readonly #running = new Set<Promise<void>>()
  #stopping = false

  constructor(kinds: FanOutKinds) {
    this.#kinds = kinds
  }

  /** Another call of `run` would do nothing. */
  get full(): boolean {
    return this.#stopping || this.#running.size >= SIDE_BY_SIDE
  }

  /** Does what is due to its end, beside those that are at it already. */
  async run(app: Pick<App, 'pool' | 'log' | 'types'>): Promise<void> {
    if (this.full) return
    const run = runFanOuts(app, this.#kinds, () => this.#stopping)
    this.#running.add(run)
    await run.finally(() => this.#running.delete(run))
  }

  /** Lets the chunks under way end and starts no others. */
  async close(): Promise<void> {
    this.#stopping = true
    await Promise.allSettled(this.#running)
  }
}
