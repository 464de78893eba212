/** A budget per time window. A window begins with the first spending after the previous one ended. */
export class Budget {
  readonly #perWindow: number
  readonly #windowMs: number
  #since = Number.NEGATIVE_INFINITY
  #spent = 0

  constructor(perWindow: number, windowMs: number) {
    this.#perWindow = perWindow
    this.#windowMs = windowMs
  }

  /** False when the budget is exceeded. Refused costs count too. */
  spend(cost: number): boolean {
    const now = performance.now()
    if (now - this.#since >= this.#windowMs) {
      this.#since = now
      this.#spent = 0
    }
    this.#spent += cost
    return this.#spent <= this.#perWindow
  }

  /** Undoes a spending. */
  refund(cost: number): void {
    this.#spent = Math.max(0, this.#spent - cost)
  }

  /** Milliseconds until the window ends. */
  get leftMs(): number {
    return Math.max(0, this.#since + this.#windowMs - performance.now())
  }
}

/** Keys kept per window. Beyond this, the oldest are dropped. */
const MOST_KEYS = 100_000

/** Budgets by key. Each is kept for at least one window after its last use, so that reconnecting does not renew it. */
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
