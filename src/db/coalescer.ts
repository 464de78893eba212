import { isContentError } from '../base/failure.ts'
import { type AppError, fail } from '../errors.ts'

/** Result of an item that was not written, because another transaction has locked one of its rows. */
export const HELD = Symbol('held')

export type CoalescerOptions<Kind extends string, Item, Result> = {
  /** Items with the same key run one after the other, in order of arrival. */
  keyOf: (item: Item) => string
  /**
   * Runs one statement for a batch of items with distinct keys. Returns results in the order of the items. Locks rows in key
   * order, so that batches of two processes cannot deadlock. Never waits for a row lock: such an item returns `HELD` and is
   * retried, and the others proceed.
   */
  run: Record<Kind, (items: Item[]) => Promise<(Result | typeof HELD)[]>>
  /** Called after the commit of each batch, before its callers are answered. */
  onCommit?: () => void
  /** Maximum number of items that wait or run. Further ones are refused with 503. */
  capacity?: number
  maxBatch?: number
  /** Maximum wait before the item's statement begins. After it, the item is refused with 503 and not written. */
  maxWaitMs?: number
  /** Time for which items gather while another batch of their kind runs. */
  lingerMs?: number
}

/** Concurrent statements per kind. While PostgreSQL runs one, the next one is in transit. */
const STATEMENTS_PER_KIND = 2

/** Callers answered in one turn of the event loop. Each one sends a response, and other requests wait for the turn. */
const ANSWERS_PER_TURN = 32

/** Time for which an item with a locked row is retried, and the interval between attempts. */
const HELD_MS = 2000
const AGAIN_MS = 50

type Entry<Item, Result> = {
  key: string
  item: Item
  /** Time of arrival, by `performance.now()`. */
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
 * Gathers single writes into one statement per kind. An idle queue writes at once. While a batch runs, new items gather for a
 * few milliseconds. Each caller gets its own result after the commit. Items with the same key, such as a like and an unlike of
 * one pair, never run concurrently.
 */
export class Coalescer<Kind extends string, Item, Result> {
  readonly #keyOf: (item: Item) => string
  readonly #capacity: number
  readonly #maxBatch: number
  readonly #lingerMs: number
  readonly #maxWaitMs: number
  readonly #onCommit: () => void
  readonly #queues = new Map<Kind, Queue<Item, Result>>()
  /** Items that wait behind another item of the same key, in order of arrival. */
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

  /** Number of items that wait or run. */
  get size(): number {
    return this.#size
  }

  /**
   * Resolves with the item's result after the commit of its batch.
   * @throws {AppError} BUSY the coalescer is full or closed, or the wait was too long
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

  /** Refuses new items. Resolves when all earlier ones are answered. */
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
    // setImmediate includes items that arrive in the same turn of the event loop.
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

  /** Items are almost in order of arrival, so the late ones are at the front. */
  #refuseLate(queue: Queue<Item, Result>): void {
    const earliest = performance.now() - this.#maxWaitMs
    for (let entry = queue.ready[0]; entry && entry.since < earliest; entry = queue.ready[0]) {
      queue.ready.shift()
      this.#release(entry.key)
      entry.reject(busy())
    }
  }

  /** If a batch fails because of its content, halves it until the bad item is alone. Only that item fails. */
  async #execute(queue: Queue<Item, Result>, batch: Entry<Item, Result>[]): Promise<void> {
    try {
      const results = await queue.run(batch.map((entry) => entry.item))
      this.#onCommit()
      inTurns(batch, (entry, index) => this.#answer(entry, results[index]))
    } catch (error) {
      if (batch.length === 1 || !isContentError(error)) {
        inTurns(batch, (entry) => {
          this.#release(entry.key)
          entry.reject(error)
        })
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

  /** Retries the item later. Items with the same key stay behind it. */
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

  /** Frees the slot of an item, and queues the next item with the same key. */
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

/** Calls `answer` for each item in order, a few per turn of the event loop. */
function inTurns<T>(items: T[], answer: (item: T, index: number) => void, from = 0): void {
  const until = Math.min(from + ANSWERS_PER_TURN, items.length)
  for (const [index, item] of items.slice(from, until).entries()) answer(item, from + index)
  if (until < items.length) setImmediate(inTurns, items, answer, until)
}

function busy(): AppError {
  return fail('BUSY', 'Try again', { retryAfter: 1 })
}
