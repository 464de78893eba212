import { setTimeout as delay } from 'node:timers/promises'
import type pg from 'pg'
import type { Logger } from 'pino'
import type { Consumer } from './consume.ts'
import { type BatchReport, runLane } from './lane-runner.ts'
import type { Lane } from './position.ts'
import { lanesWithWork } from './read.ts'

/** A dispatch job ends when nobody called for so long, and after some minutes in any case: nothing is to depend on one. */
const IDLE_MS = 10_000
const STAND_MS = 600_000
const CHECK_MS = 100

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
  #standing = false
  #calledAt = 0
  #looking = false
  #lookAgain = false
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
    await Promise.all(await this.#startLanes())
  }

  /**
   * Runs the lanes that have work, then stands ready for calls of `look` until none came for a while: so a hint costs no job
   * of its own. One call stands in a process, another one only runs.
   */
  async serve(): Promise<void> {
    if (this.#standing) return this.run()
    this.#standing = true
    this.#calledAt = Date.now()
    const standsUntil = Date.now() + STAND_MS
    try {
      await this.run()
      while (!this.#stopping && Date.now() < Math.min(standsUntil, this.#calledAt + IDLE_MS)) await delay(CHECK_MS)
    } finally {
      this.#standing = false
    }
  }

  /** Whether `serve` is at it, so that `look` may be called. */
  get standing(): boolean {
    return this.#standing && !this.#stopping
  }

  /** Starts the lanes that have work; calls that come while it looks make it look once more. */
  look(): void {
    this.#calledAt = Date.now()
    this.#lookAgain = this.#looking
    if (this.#looking) return
    this.#looking = true
    this.#startLanes()
      .catch((error) => this.#log.warn({ err: error }, 'cannot see which lanes have work; the poll will look again'))
      .finally(() => {
        this.#looking = false
        if (this.#lookAgain) this.look()
      })
  }

  /** Lets running batches end and starts no others. */
  async close(): Promise<void> {
    this.#stopping = true
    await Promise.allSettled(this.#running.values())
  }

  async #startLanes(): Promise<Promise<void>[]> {
    const started: Promise<void>[] = []
    for (const lane of await lanesWithWork(this.#pool)) {
      const key = keyOf(lane)
      if (this.#running.has(key)) this.#again.add(key)
      else if (!this.#stopping) started.push(this.#start(lane, key))
    }
    return started
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
