import { ChannelSending, channelNames, type Sending } from './send.ts'

/**
 * Sends in this process: one loop per channel, so that a mail server that hangs holds up no push, all of them inside one job.
 * Other processes take other rows; their locks keep them apart.
 */
export class DeliveryRunner {
  readonly #channels: ChannelSending[]

  constructor(sending: Sending) {
    this.#channels = channelNames.map((channel) => new ChannelSending(sending, channel))
  }

  /** Something is under way here: `look` is enough for what comes meanwhile. */
  get running(): boolean {
    return this.#channels.some(({ running }) => running)
  }

  /** Sends what is due, and what comes meanwhile, to its end. */
  async run(): Promise<void> {
    this.look()
    while (this.running) await Promise.all(this.#channels.map(({ running }) => running))
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
