/** What may be spent in a window of time; the window begins with the first spending after the last one ended. */
export class Budget {
  readonly #perWindow: number
  readonly #windowMs: number
  #since = Number.NEGATIVE_INFINITY
  #spent = 0

  constructor(perWindow: number, windowMs: number) {
    this.#perWindow = perWindow
    this.#windowMs = windowMs
  }

  /** False when it is more than there is; what is refused counts too. */
  spend(cost: number): boolean {
    const now = performance.now()
    if (now - this.#since >= this.#windowMs) {
      this.#since = now
      this.#spent = 0
    }
    this.#spent += cost
    return this.#spent <= this.#perWindow
  }

  /** Takes back a spending. */
  refund(cost: number): void {
    this.#spent = Math.max(0, this.#spent - cost)
  }

  /** Milliseconds until the window ends. */
  get leftMs(): number {
    return Math.max(0, this.#since + this.#windowMs - performance.now())
  }
}

/** Keys whose budgets are kept of one window; a flood of more makes the oldest be forgotten. */
const MOST_KEYS = 100_000

/** Budgets by key. One is kept for a window at least after it was last asked for, so that nobody gets a new one by coming again. */
export class Budgets {
  readonly #perWindow: number
  readonly #windowMs: number
  #recent = new Map<string, Budget>()
  #older = new Map<string, Budget>()
  #since = performance.now()

  constructor(perWindow: number, windowMs: number) {
    this.#perWindow = perWindow
    this.#windowMs = windowMs
  }

  of(key: string): Budget {
    const now = performance.now()
    if (now - this.#since >= this.#windowMs || this.#recent.size >= MOST_KEYS) {
      this.#older = this.#recent
      this.#recent = new Map()
      this.#since = now
    }
    const known = this.#recent.get(key)
    if (known) return known
    const budget = this.#older.get(key) ?? new Budget(this.#perWindow, this.#windowMs)
    this.#recent.set(key, budget)
    return budget
  }
}
