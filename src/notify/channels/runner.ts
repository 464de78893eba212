/** What sends to one kind of receiver: `running` ends when something of it has ended, and is undefined when nothing is to be done. */
export type Sending = { readonly running: Promise<unknown> | undefined; look(): unknown; close(): Promise<void> }

/**
 * Sends in this process: one loop per channel, so that a mail server that hangs holds up no push, all of them inside one job.
 * Other processes take other rows; their locks keep them apart.
 */
export class DeliveryRunner {
  readonly #channels: Sending[]

  constructor(channels: Sending[]) {
    this.#channels = channels
  }

  /** Something is under way here: `look` is enough for what comes meanwhile. */
  get running(): boolean {
    return this.#channels.some(({ running }) => running)
  }

  /** Sends what is due, and what comes meanwhile, to its end. */
  async run(): Promise<void> {
    this.look()
    while (this.running) await Promise.race(this.#channels.flatMap(({ running }) => running ?? []))
  }

  /** Something may be due. */
  look(): void {
    for (const channel of this.#channels) channel.look()
  }

  /** Gives back what waits, and lets what is under way end. */
  async close(): Promise<void> {
    await Promise.all(this.#channels.map((channel) => channel.close()))
  }
}
