import { setTimeout as delay } from 'node:timers/promises'
import type pg from 'pg'
import createSubscriber, { type Subscriber } from 'pg-listen'
import type { App } from '../app.ts'
import { backoff } from '../base/failure.ts'
import { timeLimits } from './pool.ts'

/** How often a query checks for a silently lost connection, with the timeout QUERY_MS. */
const CHECK_MS = 10_000
const QUERY_MS = 5_000
/**
 * Delays before a lost connection is replaced: the first attempt is immediate, later delays grow. Each delay is random
 * between half and the whole.
 */
const FIRST_RETRY_MS = 100
const LAST_RETRY_MS = 3_000
/** Maximum time to close a connection. */
const CLOSE_MS = 1_000

export type ListenerEvents = {
  notification(channel: string, payload: string): void
  /** LISTEN works, for the first time or again. Earlier notifications are lost. */
  connected(): void
}

/**
 * Listens on its own connection and always reconnects. pg-listen listens and detects the loss. Its own reconnection is
 * disabled (`retryLimit: 1`), because it cannot be cancelled.
 */
export class Listener {
  readonly #app: Pick<App, 'config' | 'log'>
  readonly #channels: string[]
  readonly #events: ListenerEvents
  #subscriber: Subscriber | undefined
  #failures = 0
  #alive = false
  #closed = false
  #retry: NodeJS.Timeout | undefined

  constructor(app: Pick<App, 'config' | 'log'>, channels: string[], events: ListenerEvents) {
    this.#app = app
    this.#channels = channels
    this.#events = events
  }

  /** Resolves after the first attempt, successful or not. Without LISTEN, the poll and the sweep do the work. */
  async start(): Promise<void> {
    const subscriber = this.#createSubscriber()
    this.#subscriber = subscriber
    try {
      await subscriber.connect()
      for (const channel of this.#channels) await subscriber.listenTo(channel)
    } catch (err) {
      return this.#lost(subscriber, err)
    }
    if (subscriber !== this.#subscriber) return end(subscriber)
    this.#failures = 0
    this.#alive = true
    this.#app.log.info({ channels: this.#channels }, 'listening for notifications')
    this.#events.connected()
  }

  alive(): boolean {
    return this.#alive
  }

  async close(): Promise<void> {
    const subscriber = this.#subscriber
    this.#closed = true
    this.#alive = false
    this.#subscriber = undefined
    clearTimeout(this.#retry)
    if (subscriber) await end(subscriber)
  }

  #createSubscriber(): Subscriber {
    const subscriber = createSubscriber.default(
      {
        connectionString: this.#app.config.databaseUrlDirect,
        application_name: 'ravenpost listen',
        connectionTimeoutMillis: QUERY_MS,
        query_timeout: QUERY_MS,
        options: timeLimits(QUERY_MS),
      },
      { parse: String, paranoidChecking: CHECK_MS, retryLimit: 1 },
    )
    subscriber.events.on('notification', ({ channel, payload }) => this.#events.notification(channel, payload ?? ''))
    subscriber.events.on('error', (err) => this.#lost(subscriber, err))
    return subscriber
  }

  #lost(subscriber: Subscriber, err: unknown): void {
    if (this.#closed || subscriber !== this.#subscriber) return
    this.#alive = false
    this.#subscriber = undefined
    const wait = backoff({ first: FIRST_RETRY_MS, longest: LAST_RETRY_MS }, this.#failures) * (0.5 + Math.random() / 2)
    this.#failures += 1
    this.#app.log.warn({ err, wait }, 'cannot listen; reconnecting')
    subscriber.events.removeAllListeners('notification')
    void end(subscriber)
    this.#retry = setTimeout(() => this.start(), wait)
  }
}

async function end(subscriber: Subscriber): Promise<void> {
  await Promise.race([subscriber.close().catch(() => undefined), delay(CLOSE_MS, undefined, { ref: false })])
}

/** Sends NOTIFY with each payload, delivered at commit. */
export async function notify(client: pg.ClientBase, channel: string, payloads: string[]): Promise<void> {
  if (payloads.length === 0) return
  await client.query({
    name: 'notify',
    text: 'select pg_notify($1, p) from unnest($2::text[]) p',
    values: [channel, payloads],
  })
}
