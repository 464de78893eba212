import { availableParallelism } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { bulkhead, noop } from 'cockatiel'
import type pg from 'pg'
import type { Logger } from 'pino'
import { Pulse } from '../../base/pulse.ts'
import { messageOf } from '../../errors.ts'
import { BatchError, type Consumer, type OnBusy } from './consume.ts'
import { countBatch, onBusyAfter, type Reading, runBatch, runLane } from './lane-runner.ts'
import { CRITICAL_LANE, type Lane, noteLaneFailure } from './position.ts'
import { type LaneWithWork, lanesWithWork } from './read.ts'

/** Idle time after which a dispatch job ends. It also ends after some minutes in any case, so that nothing depends on one job. */
const IDLE_MS = 10_000
const JOB_MS = 600_000
const CHECK_MS = 100

/** Number of empty passes after which the next ones are delayed, because anyone can send needless hints. */
const EMPTY_PASSES = 20
const BETWEEN_EMPTY_MS = 50

/** Maximum events of a lane per pass. A small number, so that a critical event in the meantime hardly waits. */
const PASS_SIZE = 100
/**
 * Number of lanes that run a batch at the same time: half of the processors, because PostgreSQL needs the others. More lanes
 * take equally long in total and delay critical events.
 */
const BATCHES_AT_ONCE = Math.max(1, availableParallelism() >> 1)
/** Time without waits for locked rows, after one such wait timed out. Each further wait would delay all lanes by a second. */
const IMPATIENT_MS = 10_000
/** Delay for counters, so that events within this time are counted in one batch. */
const COUNTING_MS = 50
const counters = { consumer: 'counters', lane: 0 }

/**
 * Runs the consumers in this process. Under low load, a hint costs one transaction that reads a few events of every lane.
 * A lane with more is drained alone, so the critical lane never waits for a backlog. Position locks exclude other processes.
 *
 *     idle ──runJob──▶ draining ──no events left──▶ listening ──10 s without wake──▶ idle
 *
 *     wake ─┬──▶ readAllLanes ─┬── woken meanwhile ──▶ readAllLanes
 *           │                  └── a lane has more ──▶ drainLane ── woken meanwhile ──▶ drainLane
 *           └──▶ 50 ms ──▶ drainLane of the counters
 */
export class Dispatcher {
  readonly #reading: Reading
  readonly #consumers: Record<string, Consumer>
  readonly #turns = bulkhead(BATCHES_AT_ONCE, Number.POSITIVE_INFINITY)
  readonly #running = new Map<string, { lane: Lane; end: Promise<void> }>()
  /** Lanes that got a hint while they ran. Their last read may precede the event. */
  readonly #again = new Set<string>()
  readonly #passes = new Pulse(() => this.#readAllLanes(), { eager: true })
  readonly #counting = new Pulse(() => this.#startLane(counters))
  #hasJob = false
  #wokenAt = 0
  #impatientUntil = 0
  /** Consecutive passes that found nothing. */
  #emptyPasses = 0
  #stopping = false

  constructor(pool: pg.Pool, log: Logger, consumers: Record<string, Consumer>, onBatch = countBatch) {
    this.#reading = { pool, log, onBatch }
    this.#consumers = consumers
  }

  /** Those of these lanes with work that this process is not already doing. */
  idleAmong(lanes: Lane[]): Lane[] {
    return lanes.filter(
      (lane) => !this.#running.has(keyOf(lane)) && !(this.#counting.isRequested && lane.consumer === counters.consumer),
    )
  }

  /** Drains every lane that has work. */
  async run(): Promise<void> {
    const lanes = await lanesWithWork(this.#reading.pool)
    await Promise.all(lanes.map((lane) => this.#startLane(lane)))
  }

  /**
   * A dispatch job: drains the lanes that have work, then listens for `wake` until none came for a while, so that a
   * hint needs no job of its own. Only one job per process listens; further jobs only drain the lanes.
   */
  async runJob(): Promise<void> {
    if (this.#hasJob) return this.run()
    this.#hasJob = true
    this.#wokenAt = performance.now()
    const endsAt = performance.now() + JOB_MS
    try {
      await this.run()
      while (!this.#stopping && performance.now() < Math.min(endsAt, this.#wokenAt + IDLE_MS)) await delay(CHECK_MS)
    } finally {
      this.#hasJob = false
    }
  }

  /** True while `runJob` runs, so that `wake` has an effect. */
  get isListening(): boolean {
    return this.#hasJob && !this.#stopping
  }

  /** A hint: events may have come. Reads all lanes, and once more for hints that come meanwhile. */
  wake(): void {
    this.#wokenAt = performance.now()
    for (const key of this.#running.keys()) if (key !== keyOf(counters)) this.#again.add(key)
    this.#passes.request()
    this.#counting.requestIn(COUNTING_MS)
  }

  /** Waits for the running batches and starts no others. */
  async close(): Promise<void> {
    this.#stopping = true
    await Promise.all([this.#passes.close(), this.#counting.close()])
    await Promise.allSettled([...this.#running.values()].map(({ end }) => end))
  }

  async #readAllLanes(): Promise<void> {
    const found = await this.#readFreeLanes().catch((error) =>
      this.#reading.log.warn({ err: error }, 'cannot read any lane; the poll retries'),
    )
    this.#emptyPasses = found ? 0 : this.#emptyPasses + 1
    if (this.#emptyPasses > EMPTY_PASSES) this.#passes.pause(BETWEEN_EMPTY_MS)
  }

  /**
   * One pass over the lanes that are not running here. Continues slices that others left unfinished. When a pass fails,
   * each lane is drained alone, which isolates a bad event. Returns false when there was no event.
   */
  async #readFreeLanes(): Promise<boolean> {
    const consumer = 'notifications'
    const running = [...this.#running.values()].filter(({ lane }) => lane.consumer === consumer)
    const lanes = { consumer, allBut: running.map(({ lane }) => lane.lane) }
    const options = { limit: PASS_SIZE, onBusy: this.#onBusy() }
    try {
      const result = await runBatch(this.#reading, lanes, this.#consumerOf(consumer), options)
      if (result === 'held') return false
      for (const lane of result.unfinished) this.#startLane({ consumer, lane })
      return result.events.length > 0 || running.length > 0
    } catch (error) {
      this.#reading.log.warn({ err: error }, 'reading all lanes failed; reading each one alone')
      if (onBusyAfter(error) === 'set aside') this.#onHeld()
      for (const lane of await lanesWithWork(this.#reading.pool)) this.#startLane(lane)
      return true
    }
  }

  #startLane({ failures = 0, ...lane }: Lane & Partial<LaneWithWork>): Promise<void> {
    const key = keyOf(lane)
    const running = this.#running.get(key)
    if (running) this.#again.add(key)
    if (running || this.#stopping) return Promise.resolve()
    const run = this.#drainLane(lane, key, failures)
      .catch((error) => this.#noteFailure(lane, error))
      .finally(() => this.#running.delete(key))
    this.#running.set(key, { lane, end: run })
    return run
  }

  async #drainLane(lane: Lane, key: string, failures: number): Promise<void> {
    const consumer = this.#consumerOf(lane.consumer)
    const bulk = lane.consumer === 'notifications' && lane.lane !== CRITICAL_LANE
    const options = { turns: bulk ? this.#turns : noop, onHeld: () => this.#onHeld(), stopping: () => this.#stopping }
    do {
      this.#again.delete(key)
      await runLane(this.#reading, lane, consumer, { ...options, failures, onBusy: this.#onBusy() })
    } while (this.#again.has(key) && !this.#stopping)
  }

  /** Logs the failure and records it in notify.positions. If the database does not accept writes, it is only logged. */
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

  /**
   * Finds the consumer with this name.
   * @throws {Error} when this version has none
   */
  #consumerOf(name: string): Consumer {
    const consumer = this.#consumers[name]
    if (!consumer) throw new Error(`this version has no consumer named ${name}`)
    return consumer
  }
}

/** Adds the event id to the message if the batch contained one event. */
function reasonOf(error: unknown): string {
  const [only, ...others] = error instanceof BatchError ? error.eventIds : []
  return only !== undefined && others.length === 0 ? `event ${only}: ${messageOf(error)}` : messageOf(error)
}

function keyOf(lane: Lane): string {
  return `${lane.consumer}/${lane.lane}`
}
