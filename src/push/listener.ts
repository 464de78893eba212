import createSubscriber, { type Subscriber } from 'pg-listen'
import type { App } from '../app.ts'
import { COUNTS_CHANNEL, INBOX_CHANNEL, SESSION_CHANNEL } from '../wake-ups.ts'

const CHANNELS = [INBOX_CHANNEL, SESSION_CHANNEL, COUNTS_CHANNEL]
const RETRY_MS = 500
/** A connection that the network swallowed is found by a query on it, this often, given up after QUERY_MS. */
const CHECK_MS = 10_000
const QUERY_MS = 5_000

export type ListenerEvents = {
  notification(channel: string, payload: string): void
  /** LISTEN stands, for the first time or again: whatever was notified before is lost. */
  connected(): void
}

/** Listens on a connection of its own and never gives up reconnecting. */
export class Listener {
  readonly #app: App
  readonly #events: ListenerEvents
  #subscriber: Subscriber | undefined
  #alive = false
  #closed = false
  #retry: NodeJS.Timeout | undefined

  constructor(app: App, events: ListenerEvents) {
    this.#app = app
    this.#events = events
  }

  /** Resolves after the first attempt, whether it succeeded or not: sockets work without LISTEN, by the sweep. */
  async start(): Promise<void> {
    const subscriber = createSubscriber.default(
      {
        connectionString: this.#app.config.databaseUrlDirect,
        application_name: 'ravenpost listen',
        connectionTimeoutMillis: QUERY_MS,
        query_timeout: QUERY_MS,
      },
      { parse: String, paranoidChecking: CHECK_MS, retryInterval: RETRY_MS, retryTimeout: 0 },
    )
    this.#subscriber = subscriber
    subscriber.events.on('notification', ({ channel, payload }) => this.#events.notification(channel, payload ?? ''))
    subscriber.events.on('reconnect', (attempt) => this.#lost(attempt))
    subscriber.events.on('error', (err) => this.#startAgain(subscriber, err))
    try {
      await subscriber.connect()
      for (const channel of CHANNELS) await subscriber.listenTo(channel)
      // pg-listen tells `connected` after the channels on a reconnect, but before them on the first connection.
      subscriber.events.on('connected', () => this.#stands())
      this.#stands()
    } catch (err) {
      this.#startAgain(subscriber, err)
    }
  }

  alive(): boolean {
    return this.#alive
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#alive = false
    clearTimeout(this.#retry)
    await this.#subscriber?.close().catch(() => undefined)
  }

  #stands(): void {
    if (this.#closed) return
    this.#alive = true
    this.#app.log.info('listening for notifications')
    this.#events.connected()
  }

  #lost(attempt: number): void {
    this.#alive = false
    this.#app.log.warn({ attempt }, 'the LISTEN connection was lost, connecting again')
  }

  /** pg-listen tells an error when it has given up, for example when the new connection broke during LISTEN: a new one takes over. */
  #startAgain(subscriber: Subscriber, err: unknown): void {
    if (this.#closed || subscriber !== this.#subscriber) return
    this.#alive = false
    this.#subscriber = undefined
    this.#app.log.warn({ err }, 'cannot listen, trying again')
    subscriber.events.removeAllListeners('notification')
    subscriber.close().catch(() => undefined)
    this.#retry = setTimeout(() => this.start(), RETRY_MS * (1 + Math.random()))
  }
}
