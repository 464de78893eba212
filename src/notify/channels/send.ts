import type { Logger } from 'pino'
import { backoff } from '../../base/failure.ts'
import { messagesTried } from '../../base/metrics.ts'
import { messageOf } from '../../errors.ts'
import type { Notification } from '../../protocol/notification.ts'
import type { Reader } from '../inbox/view.ts'
import {
  type ChannelName,
  type Delivery,
  LEASE_SECONDS,
  type Message,
  type Outcome,
  recordOutcomes,
  takeDeliveries,
  type Wait,
} from './deliveries.ts'
import { MAIL_LIMITS } from './email/email.ts'
import { FairQueue, type Limits, type Place } from './fair-queue.ts'
import { PROVIDER_FAILS } from './guard.ts'
import { type Judged, judgeDeliveries } from './recheck.ts'
import { originOf, PUSH_LIMITS } from './web-push/web-push.ts'

/**
 * One message: a Web Push of one notification, or a mail with all waiting ones. `sendId` is the same in every attempt.
 */
export type Parcel = {
  userId: string
  target: string
  sendId: string
  notifications: Notification[]
  /** When another process may send it, by the clock of `performance.now()`. */
  leaseEndsAt: number
}

/**
 * An external channel. When `send` throws, the message is retried. A mail without notifications concerns the account,
 * and `target` identifies it. `closedSeconds`: how long an origin is skipped after failures.
 */
export type Sender = {
  send(parcel: Parcel): Promise<Outcome>
  closedSeconds?(origin: string): number
  close(): void
}

/** The channels of this process; null: not configured. */
export type Senders = Record<ChannelName, Sender | null>

export type Sending = Reader & { log: Logger; senders: Senders; leaseSeconds?: number }

export const MAX_ATTEMPTS = 8
const FIRST_RETRY_SECONDS = 15
const LAST_RETRY_SECONDS = 3600

/** An origin that takes longer to answer is slow. */
const QUICK_MS = 1000

const limits: Record<ChannelName, Limits> = { email: MAIL_LIMITS, webPush: PUSH_LIMITS }

/** Sends what is due on every channel, outside of any transaction, and stores the outcomes. */
export async function sendDeliveries(sending: Sending): Promise<void> {
  await Promise.all(channelNames.map((channel) => new ChannelSending(sending, channel).look()))
}

export const channelNames: readonly ChannelName[] = ['email', 'webPush']

/** A message that passed the recheck, with its destination. */
type Ready = Place & { sendId: string; contents: Content[]; leaseEndsAt: number }

/**
 * Sends what is due on one channel. Keeps messages in flight and takes the next as each one ends, so that none waits
 * for the slowest. The queue decides the order.
 */
export class ChannelSending {
  readonly #sending: Sending
  readonly #channel: ChannelName
  readonly #queue: FairQueue<Ready>
  #run: Promise<void> | undefined
  #called = false
  #stopping = false
  #wake = () => {}
  #heldSince: number | undefined

  constructor(sending: Sending, channel: ChannelName) {
    this.#sending = sending
    this.#channel = channel
    this.#queue = new FairQueue(limits[channel])
  }

  /** Resolves when nothing is due or in flight; undefined when there is no work. */
  get running(): Promise<void> | undefined {
    return this.#run
  }

  /** Checks for due messages. Resolves when all are done. */
  look(): Promise<void> {
    this.#called = true
    this.#wake()
    this.#run ??= this.#work().finally(() => {
      this.#run = undefined
    })
    return this.#run
  }

  /** Returns waiting messages to the database and waits for those in flight. */
  async close(): Promise<void> {
    this.#stopping = true
    this.#wake()
    await this.#run
  }

  async #work(): Promise<void> {
    do {
      while (this.#called && this.#queue.hasRoom && !this.#stopping) {
        this.#called = false
        if (await this.#take()) this.#called = true
        this.#fill()
      }
      if (this.#stopping) await this.#giveBack()
      if (this.#queue.isEmpty) continue
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    } while (!this.#queue.isEmpty || (this.#called && !this.#stopping))
  }

  /** Returns whether more may be due. Database errors are temporary: the poll calls again. */
  async #take(): Promise<boolean> {
    const { pool, log, leaseSeconds = LEASE_SECONDS } = this.#sending
    const channel = this.#channel
    const leaseEndsAt = performance.now() + leaseSeconds * 1000
    try {
      const { messages, more, held } = await takeDeliveries(pool, channel, leaseSeconds, (m) => this.#waitOf(m))
      this.#noteHeld(held === true)
      await this.#settle(messages, leaseEndsAt)
      return more
    } catch (err) {
      log.error({ err, channel }, 'cannot take deliveries; retrying')
      return false
    }
  }

  #waitOf(message: Message): Wait {
    const sender = this.#sending.senders[this.#channel]
    if (!sender || this.#isUnsubscribed(message)) return { seconds: 0 }
    const place = placeOf(message)
    const closedSeconds = sender.closedSeconds?.(place.origin) ?? 0
    const seconds = this.#queue.enter(place, closedSeconds)
    return closedSeconds > 0 ? { seconds, error: PROVIDER_FAILS } : { seconds }
  }

  /** Records messages that cannot be sent as skipped, applies the rules again to the others, and queues those. */
  async #settle(taken: Message[], leaseEndsAt: number): Promise<void> {
    const isConfigured = this.#sending.senders[this.#channel] !== null
    const outcome: Outcome = { state: 'skipped', reason: isConfigured ? 'unsubscribed' : 'notConfigured' }
    const isUnreachable = (message: Message) => !isConfigured || this.#isUnsubscribed(message)
    const unreachable = taken.filter(isUnreachable).flatMap(({ deliveries }) => deliveries)
    await this.#record(unreachable.map((delivery) => ({ delivery, outcome })))
    const messages = taken.filter((message) => !isUnreachable(message))
    const deliveries = messages.flatMap(({ deliveries }) => deliveries)
    const { sendable, settled } = await judgeApart(
      this.#sending,
      deliveries.filter((d) => d.notificationId !== '0'),
    )
    await this.#record(settled)
    const questions = deliveries
      .filter((d) => d.notificationId === '0')
      .map((delivery) => ({ delivery, notification: null }))
    const contents = Map.groupBy([...sendable, ...questions], ({ delivery }) => delivery.sendId)
    for (const message of messages) {
      const ready = {
        ...placeOf(message),
        sendId: message.sendId,
        contents: contents.get(message.sendId) ?? [],
        leaseEndsAt,
      }
      if (ready.contents.length === 0) this.#queue.leave(ready)
      else this.#queue.push(ready)
    }
  }

  #isUnsubscribed({ endpoint }: Message): boolean {
    return this.#channel === 'webPush' && endpoint === null
  }

  #fill(): void {
    const sender = this.#sending.senders[this.#channel]
    if (!sender) return
    while (!this.#stopping) {
      const ready = this.#queue.next()
      if (!ready) return
      this.#send(sender, ready)
    }
  }

  /** Stores each outcome at once, so that a crash repeats one message and not a batch. */
  async #send(sender: Sender, ready: Ready): Promise<void> {
    const { userId, sendId, contents, leaseEndsAt } = ready
    const [first] = contents
    const startedAt = performance.now()
    const notifications = contents.flatMap(({ notification }) => notification ?? [])
    const target = first?.delivery.target ?? ''
    const outcome = await sender.send({ userId, target, sendId, notifications, leaseEndsAt }).catch(again)
    messagesTried.inc({ channel: this.#channel, outcome: outcome.state })
    if ('error' in outcome)
      this.#sending.log.warn({ channel: this.#channel, userId, sendId, ...outcome }, 'a delivery was not accepted')
    const isUntried = outcome.state === 'retry' && !outcome.counts
    const isQuick = outcome.state !== 'retry' && performance.now() - startedAt < QUICK_MS
    await this.#record(contents.map(({ delivery }) => ({ delivery, outcome: later(outcome, delivery.attempts) })))
    this.#queue.done(ready, isUntried ? null : isQuick)
    this.#fill()
    this.#wake()
  }

  async #giveBack(): Promise<void> {
    const outcome: Outcome = { state: 'retry', error: 'the process stopped', afterSeconds: 0, counts: false }
    const waiting = this.#queue.drain().flatMap(({ contents }) => contents)
    await this.#record(waiting.map(({ delivery }) => ({ delivery, outcome })))
  }

  /** A message without a stored outcome is retried when its lease ends. */
  async #record(results: Parameters<typeof recordOutcomes>[1]): Promise<void> {
    await recordOutcomes(this.#sending.pool, results).catch((err) =>
      this.#sending.log.error({ err, channel: this.#channel }, 'cannot store the results of deliveries'),
    )
  }

  #noteHeld(held: boolean): void {
    if (!held) this.#heldSince = undefined
    else this.#heldSince ??= performance.now()
    if (this.#heldSince === undefined || performance.now() - this.#heldSince < HELD_TOO_LONG_MS) return
    this.#heldSince = undefined
    this.#sending.log.warn(
      'no mail was sent for minutes: another database session holds the row "mails" of notify.maintenance',
    )
  }
}

const HELD_TOO_LONG_MS = 120_000

function placeOf({ userId, critical, endpoint }: Message): Place {
  return { origin: endpoint === null ? '' : originOf(endpoint), userId, critical }
}

/** Judges all together. When that fails, judges each message alone, so that a bad one does not block the others. */
async function judgeApart(sending: Sending, deliveries: Delivery[]): Promise<Judged> {
  try {
    return await judgeDeliveries(sending, deliveries)
  } catch (error) {
    const messages = [...Map.groupBy(deliveries, ({ sendId }) => sendId).values()]
    if (messages.length > 1) {
      const judged: Judged[] = []
      for (const message of messages) judged.push(await judgeApart(sending, message))
      return { sendable: judged.flatMap((j) => j.sendable), settled: judged.flatMap((j) => j.settled) }
    }
    sending.log.warn({ err: error, sendId: deliveries[0]?.sendId }, 'cannot decide whether to send a delivery')
    const outcome = again(error)
    return {
      sendable: [],
      settled: deliveries.map((delivery) => ({ delivery, outcome: later(outcome, delivery.attempts) })),
    }
  }
}

type Content = { delivery: Delivery; notification: Notification | null }

function again(error: unknown): Outcome {
  return { state: 'retry', error: messageOf(error), afterSeconds: 0, counts: true }
}

/**
 * Exponential backoff with jitter, at least the delay that the provider requested. Fails for good after the last
 * attempt.
 */
function later(outcome: Outcome, attempts: number): Outcome {
  if (outcome.state !== 'retry' || !outcome.counts) return outcome
  if (attempts >= MAX_ATTEMPTS) return { state: 'failed', error: outcome.error }
  const wait = backoff({ first: FIRST_RETRY_SECONDS, longest: LAST_RETRY_SECONDS }, attempts - 1)
  return { ...outcome, afterSeconds: Math.max(outcome.afterSeconds, wait * (0.75 + Math.random() / 2)) }
}
