/** A budget per period. A period begins with the first spending after the previous one ended. */
export class Budget {
  readonly #perPeriod: number
  readonly #periodMs: number
  #since = Number.NEGATIVE_INFINITY
  #spent = 0

  constructor(perPeriod: number, periodMs: number) {
    this.#perPeriod = perPeriod
    this.#periodMs = periodMs
  }

  /** False when the budget is exceeded. Refused costs count too. */
  spend(cost: number): boolean {
    const now = performance.now()
    if (now - this.#since >= this.#periodMs) {
      this.#since = now
      this.#spent = 0
    }
    this.#spent += cost
    return this.#spent <= this.#perPeriod
  }

  /** Undoes a spending. */
  refund(cost: number): void {
    this.#spent = Math.max(0, this.#spent - cost)
  }

  /** Milliseconds until the period ends. */
  get leftMs(): number {
    return Math.max(0, this.#since + this.#periodMs - performance.now())
  }
}

/** Keys kept per period. Beyond this, the oldest are dropped. */
const MOST_KEYS = 100_000

/** Budgets by key. Each is kept for at least one period after its last use, so that reconnecting does not renew it. */
export class Budgets {
  readonly #perPeriod: number
  readonly #periodMs: number
  #recent = new Map<string, Budget>()
  #older = new Map<string, Budget>()
  #since = performance.now()

  constructor(perPeriod: number, periodMs: number) {
    this.#perPeriod = perPeriod
    this.#periodMs = periodMs
  }

  of(key: string): Budget {
    const now = performance.now()
    if (now - this.#since >= this.#periodMs || this.#recent.size >= MOST_KEYS) {
      this.#older = this.#recent
      this.#recent = new Map()
      this.#since = now
    }
    const known = this.#recent.get(key)
    if (known) return known
    const budget = this.#older.get(key) ?? new Budget(this.#perPeriod, this.#periodMs)
    this.#recent.set(key, budget)
    return budget
  }
}
