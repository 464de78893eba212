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
}
