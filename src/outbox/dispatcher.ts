import type pg from 'pg'
import type { Logger } from 'pino'
import type { Consumer } from './consume.ts'
import { type BatchReport, runLane } from './lane-runner.ts'
import type { Lane } from './position.ts'
import { lanesWithWork } from './read.ts'

/**
 * Runs the lanes of this process: at most one run per lane at a time, all lanes side by side, so that the critical lane
 * never waits for another's backlog. Other processes hold other lanes; the position's lock keeps them apart.
 */
export class Dispatcher {
  readonly #pool: pg.Pool
  readonly #log: Logger
  readonly #consumers: Record<string, Consumer>
  readonly #onBatch: (report: BatchReport) => void
  readonly #running = new Map<string, Promise<void>>()
  /** Lanes that got a hint while they ran: their last, empty read may have been before the event. */
  readonly #again = new Set<string>()
  #stopping = false

  constructor(pool: pg.Pool, log: Logger, consumers: Record<string, Consumer>, onBatch: (report: BatchReport) => void) {
    this.#pool = pool
    this.#log = log
    this.#consumers = consumers
    this.#onBatch = onBatch
  }

  /** Lanes with work that nobody in this process is running. */
  async idleLanesWithWork(): Promise<Lane[]> {
    return (await lanesWithWork(this.#pool)).filter((lane) => !this.#running.has(keyOf(lane)))
  }

  /** Starts every lane that has work and waits for those it started. */
  async run(): Promise<void> {
    const started: Promise<void>[] = []
    for (const lane of await lanesWithWork(this.#pool)) {
      const key = keyOf(lane)
      if (this.#running.has(key)) this.#again.add(key)
      else if (!this.#stopping) started.push(this.#start(lane, key))
    }
    await Promise.all(started)
  }

  /** Lets running batches end and starts no others. */
  async close(): Promise<void> {
    this.#stopping = true
    await Promise.allSettled(this.#running.values())
  }

  #start(lane: Lane, key: string): Promise<void> {
    const run = this.#drain(lane, key)
      .catch((error) => this.#log.error({ err: error, ...lane }, 'a lane stopped; the poll will start it again'))
      .finally(() => this.#running.delete(key))
    this.#running.set(key, run)
    return run
  }

  async #drain(lane: Lane, key: string): Promise<void> {
    const consumer = this.#consumers[lane.consumer]
    if (!consumer) throw new Error(`no consumer named ${lane.consumer} in this version`)
    do {
      this.#again.delete(key)
      await runLane(this.#pool, lane, consumer, {
        log: this.#log,
        onBatch: this.#onBatch,
        stopping: () => this.#stopping,
      })
    } while (this.#again.has(key) && !this.#stopping)
  }
}

function keyOf(lane: Lane): string {
  return `${lane.consumer}/${lane.lane}`
}
