import { isContentError } from '../base/failure.ts'
import { type AppError, fail } from '../errors.ts'

/** Instead of a result: a row that the item needs is locked by somebody else, so nothing was done for it. */
export const HELD = Symbol('held')

export type CoalescerOptions<Kind extends string, Item, Result> = {
  /** What one item is about: items of one key run one after the other, in the order they came. */
  keyOf: (item: Item) => string
  /**
   * One statement for a batch of items of one kind, no key twice; answers in the order of the items. It locks rows in
   * the order of their keys, so that batches of two processes never wait for each other in a circle, and waits for no row
   * that somebody else holds: such an item is `HELD` and comes again, the others are not kept waiting.
   */
  run: Record<Kind, (items: Item[]) => Promise<(Result | typeof HELD)[]>>
  /** Called after the commit of each batch, before its items are answered. */
  onCommit?: () => void
  /** Items waiting or running at most; what comes on top is refused with 503. */
  capacity?: number
  maxBatch?: number
  /** How long an item may wait for its statement to begin; after that it is refused with 503 and nothing is written. */
  maxWaitMs?: number
  /** How long items gather while another batch of their kind is under way. */
  lingerMs?: number
}

/** Statements of one kind at a time: one is at work in the database while the next one travels. */
const STATEMENTS_PER_KIND = 2

/** How long an item may need a row that somebody else holds, and how often it is tried meanwhile. */
const HELD_MS = 2000
const AGAIN_MS = 50

type Entry<Item, Result> = {
  key: string
  item: Item
  /** When it came, in milliseconds of the process' clock. */
  since: number
  heldSince?: number
  queue: Queue<Item, Result>
  resolve: (result: Result) => void
  reject: (error: unknown) => void
}

type Queue<Item, Result> = {
  run: (items: Item[]) => Promise<(Result | typeof HELD)[]>
  ready: Entry<Item, Result>[]
  running: number
  scheduled: boolean
}

/**
 * Gathers single writes into one statement per kind (decision 2). An idle queue writes at once; while a batch is under
 * way, what comes gathers for a few milliseconds. Each caller is answered after the commit of the batch, with a result of
 * its own. Items of one key, a like and an unlike of one pair for example, are never under way together.
 */
export class Coalescer<Kind extends string, Item, Result> {
  readonly #keyOf: (item: Item) => string
  readonly #capacity: number
  readonly #maxBatch: number
  readonly #lingerMs: number
  readonly #maxWaitMs: number
  readonly #onCommit: () => void
  readonly #queues = new Map<Kind, Queue<Item, Result>>()
  /** Per key that is ready or running: what came for it since then, in order. */
  readonly #followers = new Map<string, Entry<Item, Result>[]>()
  #size = 0
  #closed = false
  #onIdle: (() => void)[] = []

  constructor(options: CoalescerOptions<Kind, Item, Result>) {
    this.#keyOf = options.keyOf
    this.#capacity = options.capacity ?? 10_000
    this.#maxBatch = options.maxBatch ?? 400
    this.#lingerMs = options.lingerMs ?? 2
    this.#maxWaitMs = options.maxWaitMs ?? 5000
    this.#onCommit = options.onCommit ?? (() => {})
    for (const kind in options.run) {
      this.#queues.set(kind, { run: options.run[kind], ready: [], running: 0, scheduled: false })
    }
  }

  /** Items waiting or running. */
  get size(): number {
    return this.#size
  }

  /**
   * Resolves with the item's result once its batch is committed.
   * @throws {AppError} BUSY when the coalescer is full or closed, or the wait was too long
   */
  add(kind: Kind, item: Item): Promise<Result> {
    const queue = this.#queues.get(kind)
    if (!queue) throw new Error(`unknown kind ${kind}`)
    if (this.#closed || this.#size >= this.#capacity) return Promise.reject(busy())
    return new Promise((resolve, reject) => {
      const entry: Entry<Item, Result> = {
        key: this.#keyOf(item),
        item,
        since: performance.now(),
        queue,
        resolve,
        reject,
      }
      this.#size++
      const followers = this.#followers.get(entry.key)
      if (followers) {
        followers.push(entry)
        return
      }
      this.#followers.set(entry.key, [])
      queue.ready.push(entry)
      this.#schedule(queue)
    })
  }

  /** Refuses what comes from now on, and resolves when all that came before has been answered. */
  close(): Promise<void> {
    this.#closed = true
    if (this.#size === 0) return Promise.resolve()
    return new Promise((resolve) => this.#onIdle.push(resolve))
  }

  #schedule(queue: Queue<Item, Result>): void {
    if (queue.scheduled || queue.ready.length === 0 || queue.running >= STATEMENTS_PER_KIND) return
    queue.scheduled = true
    const start = () => {
      queue.scheduled = false
      this.#start(queue)
    }
    // setImmediate: what arrived in the same turn of the event loop goes along.
    if (queue.running === 0 || queue.ready.length >= this.#maxBatch) setImmediate(start)
    else setTimeout(start, this.#lingerMs)
  }

  async #start(queue: Queue<Item, Result>): Promise<void> {
    this.#refuseLate(queue)
    const batch = queue.ready.splice(0, this.#maxBatch)
    if (batch.length === 0) return
    queue.running++
    this.#schedule(queue)
    await this.#execute(queue, batch)
    queue.running--
    this.#schedule(queue)
  }

  /** The items of a queue are nearly in the order they came, so the late ones are in front. */
  #refuseLate(queue: Queue<Item, Result>): void {
    const earliest = performance.now() - this.#maxWaitMs
    for (let entry = queue.ready[0]; entry && entry.since < earliest; entry = queue.ready[0]) {
      queue.ready.shift()
      this.#release(entry.key)
      entry.reject(busy())
    }
  }

  /** A batch that fails by its content is halved until the bad item stands alone; only that one fails. */
  async #execute(queue: Queue<Item, Result>, batch: Entry<Item, Result>[]): Promise<void> {
    try {
      const results = await queue.run(batch.map((entry) => entry.item))
      this.#onCommit()
      batch.forEach((entry, index) => {
        this.#answer(entry, results[index])
      })
    } catch (error) {
      if (batch.length === 1 || !isContentError(error)) {
        for (const entry of batch) {
          this.#release(entry.key)
          entry.reject(error)
        }
        return
      }
      const middle = batch.length >> 1
      await this.#execute(queue, batch.slice(0, middle))
      await this.#execute(queue, batch.slice(middle))
    }
  }

  #answer(entry: Entry<Item, Result>, result: Result | typeof HELD | undefined): void {
    if (result === HELD) {
      this.#tryAgain(entry)
      return
    }
    this.#release(entry.key)
    if (result === undefined) entry.reject(new Error('the batch statement returned no result for an item'))
    else entry.resolve(result)
  }

  /** What came later for its key goes on waiting behind it. */
  #tryAgain(entry: Entry<Item, Result>): void {
    entry.heldSince ??= performance.now()
    if (performance.now() - entry.heldSince < HELD_MS) {
      setTimeout(() => {
        entry.queue.ready.push(entry)
        this.#schedule(entry.queue)
      }, AGAIN_MS)
      return
    }
    this.#release(entry.key)
    entry.reject(busy())
  }

  /** Makes room, and lets the next item of the key take its place. */
  #release(key: string): void {
    const next = this.#followers.get(key)?.shift()
    if (next) {
      next.queue.ready.push(next)
      this.#schedule(next.queue)
    } else this.#followers.delete(key)
    this.#size--
    if (this.#size === 0) for (const resolve of this.#onIdle.splice(0)) resolve()
  }
}

function busy(): AppError {
  return fail('BUSY', 'Try again', { retryAfter: 1 })
}
