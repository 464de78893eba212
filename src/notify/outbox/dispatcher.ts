import { availableParallelism } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { bulkhead, noop } from 'cockatiel'
import type pg from 'pg'
import type { Logger } from 'pino'
import { messageOf } from '../../errors.ts'
import { BatchError, type Consumer, type OnBusy } from './consume.ts'
import { type BatchReport, onBusyAfter, type Reading, runBatch, runLane } from './lane-runner.ts'
import { CRITICAL_LANE, type Lane, noteLaneFailure } from './position.ts'
import { type LaneWithWork, lanesWithWork } from './read.ts'

/**
 * A dispatch job ends after this time without calls, and after some minutes in any case, so that nothing depends on one
 * job.
 */
const IDLE_MS = 10_000
const STAND_MS = 600_000
const CHECK_MS = 100

/** Anyone may call needlessly. After this many empty passes, the next ones are delayed. */
const EMPTY_PASSES = 20
const BETWEEN_EMPTY_MS = 50

/** Events of a lane per pass. Few enough that a critical event that arrives meanwhile hardly waits. */
const PASS_SIZE = 100
/**
 * Lanes that run a batch at the same time: half of the processors, since PostgreSQL works on each batch too. More lanes
 * take equally long in total, cost more each, and delay critical events.
 */
const BATCHES_AT_ONCE = Math.max(1, availableParallelism() >> 1)
/**
 * After a wait for a row timed out, no batch waits for rows for this time. Each wait would delay all lanes by another
 * second.
 */
const IMPATIENT_MS = 10_000
/** Counters may lag a little: events within this time are counted in one batch. */
const COUNTING_MS = 50
const counters = { consumer: 'counters', lane: 0 }

/**
 * Runs the consumers in this process. Under low load, a call makes one pass over all lanes in one transaction. A lane
 * with more events runs alone, at most once at a time, so the critical lane never waits for another's backlog. Other
 * processes hold other lanes; the locks of the positions keep them apart.
 */
export class Dispatcher {
  readonly #reading: Reading
  readonly #consumers: Record<string, Consumer>
  readonly #turns = bulkhead(BATCHES_AT_ONCE, Number.POSITIVE_INFINITY)
  readonly #running = new Map<string, { lane: Lane; end: Promise<void> }>()
  /** Lanes that got a hint while they ran. Their last read may precede the event. */
  readonly #again = new Set<string>()
  #standing = false
  #calledAt = 0
  #called = false
  #passing = false
  #impatientUntil = 0
  /** Consecutive passes that found nothing. */
  #emptyPasses = 0
  #passes: Promise<void> = Promise.resolve()
  #counting: NodeJS.Timeout | undefined
  #stopping = false

  constructor(pool: pg.Pool, log: Logger, consumers: Record<string, Consumer>, onBatch: (report: BatchReport) => void) {
    this.#reading = { pool, log, onBatch }
    this.#consumers = consumers
  }

  /** Lanes with work that this process is not already doing. */
  async idleLanesWithWork(): Promise<Lane[]> {
    const lanes = await lanesWithWork(this.#reading.pool)
    return lanes.filter(
      (lane) => !this.#running.has(keyOf(lane)) && !(this.#counting && lane.consumer === counters.consumer),
    )
  }

  /** Runs every lane that has work to its end. */
  async run(): Promise<void> {
    const lanes = await lanesWithWork(this.#reading.pool)
    await Promise.all(lanes.map((lane) => this.#start(lane)))
  }

  /**
   * Runs the lanes that have work, then accepts calls of `look` until none came for a while, so that a hint needs no
   * job of its own. Only one call per process waits for hints; further calls only run the lanes.
   */
  async serve(): Promise<void> {
    if (this.#standing) return this.run()
    this.#standing = true
    this.#calledAt = performance.now()
    const standsUntil = performance.now() + STAND_MS
    try {
      await this.run()
      while (!this.#stopping && performance.now() < Math.min(standsUntil, this.#calledAt + IDLE_MS))
        await delay(CHECK_MS)
    } finally {
      this.#standing = false
    }
  }

  /** Whether `serve` is running, so that `look` may be called. */
  get standing(): boolean {
    return this.#standing && !this.#stopping
  }

  /** Events may have come: makes passes over the lanes, and one more for calls that come meanwhile. */
  look(): void {
    this.#calledAt = performance.now()
    this.#called = true
    for (const key of this.#running.keys()) if (key !== keyOf(counters)) this.#again.add(key)
    if (!this.#passing) this.#passes = this.#pass()
    this.#counting ??= setTimeout(() => {
      this.#counting = undefined
      if (!this.#stopping) this.#start(counters)
    }, COUNTING_MS)
  }

  /** Waits for the running batches and starts no others. */
  async close(): Promise<void> {
    this.#stopping = true
    clearTimeout(this.#counting)
    await this.#passes
    await Promise.allSettled([...this.#running.values()].map(({ end }) => end))
  }

  async #pass(): Promise<void> {
    this.#passing = true
    while (this.#called && !this.#stopping) {
      this.#called = false
      const found = await this.#passOnce().catch((error) =>
        this.#reading.log.warn({ err: error }, 'cannot read any lane; the poll retries'),
      )
      this.#emptyPasses = found ? 0 : this.#emptyPasses + 1
      if (this.#emptyPasses > EMPTY_PASSES) await delay(BETWEEN_EMPTY_MS)
    }
    this.#passing = false
  }

  /**
   * One pass over the lanes that are not running here. Continues windows that others left unfinished. When a pass
   * fails, each lane runs alone, which isolates a bad event. Returns false when there was no event.
   */
  async #passOnce(): Promise<boolean> {
    const consumer = 'notifications'
    const running = [...this.#running.values()].filter(({ lane }) => lane.consumer === consumer)
    const lanes = { consumer, allBut: running.map(({ lane }) => lane.lane) }
    const options = { limit: PASS_SIZE, onBusy: this.#onBusy() }
    try {
      const result = await runBatch(this.#reading, lanes, this.#consumerOf(consumer), options)
      if (result === 'held') return false
      for (const lane of result.unfinished) this.#start({ consumer, lane })
      return result.events.length > 0 || running.length > 0
    } catch (error) {
      this.#reading.log.warn({ err: error }, 'reading all lanes failed; reading each one alone')
      if (onBusyAfter(error) === 'set aside') this.#onHeld()
      for (const lane of await lanesWithWork(this.#reading.pool)) this.#start(lane)
      return true
    }
  }

  #start({ failures = 0, ...lane }: Lane & Partial<LaneWithWork>): Promise<void> {
    const key = keyOf(lane)
    const running = this.#running.get(key)
    if (running) this.#again.add(key)
    if (running || this.#stopping) return Promise.resolve()
    const run = this.#drain(lane, key, failures)
      .catch((error) => this.#noteFailure(lane, error))
      .finally(() => this.#running.delete(key))
    this.#running.set(key, { lane, end: run })
    return run
  }

  async #drain(lane: Lane, key: string, failures: number): Promise<void> {
    const consumer = this.#consumerOf(lane.consumer)
    const bulk = lane.consumer === 'notifications' && lane.lane !== CRITICAL_LANE
    const options = { turns: bulk ? this.#turns : noop, onHeld: () => this.#onHeld(), stopping: () => this.#stopping }
    do {
      this.#again.delete(key)
      await runLane(this.#reading, lane, consumer, { ...options, failures, onBusy: this.#onBusy() })
    } while (this.#again.has(key) && !this.#stopping)
  }

  /** When the database does not accept writes, the failure is only in the log. */
  async #noteFailure(lane: Lane, error: unknown): Promise<void> {
    const { pool, log } = this.#reading
    log.error({ err: error, ...lane }, 'a lane stopped; the poll restarts it')
    await noteLaneFailure(pool, lane, reasonOf(error)).catch(() => undefined)
  }

  #onBusy(): OnBusy {
    return performance.now() < this.#impatientUntil ? 'set aside' : 'wait'
  }

  #onHeld(): void {
    this.#impatientUntil = performance.now() + IMPATIENT_MS
  }

  /** @throws {Error} for a lane of another version */
  #consumerOf(name: string): Consumer {
    const consumer = this.#consumers[name]
    if (!consumer) throw new Error(`this version has no consumer named ${name}`)
    return consumer
  }
}

/** Names the event when there was only one. */
function reasonOf(error: unknown): string {
  const [only, ...others] = error instanceof BatchError ? error.eventIds : []
  return only !== undefined && others.length === 0 ? `event ${only}: ${messageOf(error)}` : messageOf(error)
}

function keyOf(lane: Lane): string {
  return `${lane.consumer}/${lane.lane}`
}
