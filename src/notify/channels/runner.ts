/**
 * Sends to one kind of receiver. `running` resolves when one of its messages ends, and is undefined when there is no
 * work.
 */
export type Sending = { readonly running: Promise<unknown> | undefined; look(): unknown; close(): Promise<void> }

/**
 * Sends in this process, with one loop per channel in one job, so that a hanging mail server does not delay pushes. Row
 * locks keep processes apart.
 */
export class DeliveryRunner {
  readonly #channels: Sending[]

  constructor(channels: Sending[]) {
    this.#channels = channels
  }

  /** True if messages are in flight here. Then `look` is enough for new work. */
  get running(): boolean {
    return this.#channels.some(({ running }) => running)
  }

  /** Sends everything that is due, including what becomes due meanwhile. */
  async run(): Promise<void> {
    this.look()
    while (this.running) await Promise.race(this.#channels.flatMap(({ running }) => running ?? []))
  }

  /** Checks for due messages. */
  look(): void {
    for (const channel of this.#channels) channel.look()
  }

  /** Returns waiting messages to the database and waits for those in flight. */
  async close(): Promise<void> {
    await Promise.all(this.#channels.map((channel) => channel.close()))
  }
}
