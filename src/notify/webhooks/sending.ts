import { webhookAttempts } from '../../base/metrics.ts'
import { Pulse } from '../../base/pulse.ts'
import type { Reader } from '../inbox/view.ts'
import type { Agents } from './endpoint.ts'
import { bodiesOf } from './payload.ts'
import { post } from './post.ts'
import { AT_ONCE, type Batch, findDueEndpoints, recordFailure, recordSent, type Taken, takeMessages } from './take.ts'

export type WebhookOptions = { agents: Agents; timeoutMs: number }

/** The messages in progress to one endpoint. `wake`: more may be due. */
type Line = { done: Promise<void>; underWay: Set<Promise<void>>; wake(): void }

/**
 * Sends to each endpoint independently, a few messages at a time, so that a slow or backlogged endpoint delays no
 * other. Only messages in progress are in memory; the rest is in the database.
 */
export class WebhookSending {
  readonly #reader: Reader
  readonly #options: WebhookOptions
  readonly #lines = new Map<string, Line>()
  readonly #looks = new Pulse(() => this.#findLines(), { eager: true })
  #stopping = false

  constructor(reader: Reader, options: WebhookOptions) {
    this.#reader = reader
    this.#options = options
  }

  /** Resolves when a message in progress ends; undefined when nothing is left. */
  get running(): Promise<unknown> | undefined {
    const lines = [...this.#lines.values()].map(({ done }) => done)
    const work = this.#looks.running ? [this.#looks.running, ...lines] : lines
    return work.length > 0 ? Promise.race(work) : undefined
  }

  /** Checks for due messages. */
  look(): void {
    this.#looks.request()
  }

  /** Waits for the messages in progress. */
  async close(): Promise<void> {
    this.#stopping = true
    await this.#looks.close()
    await Promise.all([...this.#lines.values()].map(({ done }) => done))
    this.#options.agents.close()
  }

  async #findLines(): Promise<void> {
    const { pool, log } = this.#reader
    try {
      const { rows } = await pool.query<{ id: string }>({ name: 'due_webhooks', text: findDueEndpoints })
      for (const { id } of rows) this.#callLine(id)
    } catch (err) {
      log.error({ err }, 'cannot look for due webhook messages; retrying')
    }
  }

  #callLine(webhookId: string): void {
    const known = this.#lines.get(webhookId)
    if (known) {
      if (known.underWay.size < AT_ONCE) known.wake()
      return
    }
    const line: Line = { done: Promise.resolve(), underWay: new Set(), wake() {} }
    this.#lines.set(webhookId, line)
    line.done = this.#sendAll(webhookId, line)
      .catch((err) => this.#reader.log.error({ err, webhookId }, 'cannot send to a webhook; retrying'))
      .finally(() => this.#lines.delete(webhookId))
  }

  /** Runs until nothing is due. Takes the next messages whenever one ends or more arrive. */
  async #sendAll(webhookId: string, line: Line): Promise<void> {
    const { underWay } = line
    for (;;) {
      const woken = new Promise<void>((resolve) => {
        line.wake = resolve
      })
      const batch = this.#stopping ? null : await takeMessages(this.#reader.pool, webhookId)
      if (batch) {
        const bodies = await bodiesOf(this.#reader, batch.messages)
        for (const message of batch.messages) {
          const sent = this.#send(webhookId, batch, message, bodies.get(message.id) ?? '')
          underWay.add(sent)
          sent.finally(() => underWay.delete(sent))
        }
      }
      if (underWay.size === 0) return
      await Promise.race([woken, ...underWay])
    }
  }

  /** A result that is not stored leads to another attempt when the lease ends. */
  async #send(webhookId: string, batch: Batch, message: Taken, body: string): Promise<void> {
    const { pool, log } = this.#reader
    const { agents, timeoutMs } = this.#options
    try {
      const result = await post(agents, timeoutMs, batch, message, body)
      webhookAttempts.inc({ outcome: result.error === null ? 'sent' : 'failed' })
      if (result.error === null) return await recordSent(pool, webhookId, message, result.status ?? 0)
      log.debug({ webhookId, messageId: message.messageId, ...result }, 'a webhook message was not accepted')
      const because = await recordFailure(pool, webhookId, message, result)
      if (because) log.warn({ webhookId, because, error: result.error }, 'a webhook was disabled')
    } catch (err) {
      log.error({ err, webhookId, messageId: message.messageId }, 'cannot store the result of a webhook message')
    }
  }
}
