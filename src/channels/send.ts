import type { Logger } from 'pino'
import { messageOf } from '../errors.ts'
import type { Notification, Reader } from '../notifications/view.ts'
import {
  type ChannelName,
  type Delivery,
  LEASE_SECONDS,
  type Outcome,
  recordOutcomes,
  TAKEN_AT_ONCE,
  takeDeliveries,
} from './deliveries.ts'
import { type Judged, judgeDeliveries } from './judge.ts'

/** One message: a Web Push of one notification, or a mail of all that waited. `sendId` is the same in every attempt. */
export type Parcel = {
  userId: string
  target: string
  sendId: string
  notifications: Notification[]
  /** By the clock of `performance.now()`: from then on another process may send it. */
  leaseEndsAt: number
}

/** A channel to the outside; when `send` throws, it is tried again. Without notifications a mail asks whether the address is the user's. */
export type Sender = { send(parcel: Parcel): Promise<Outcome>; close(): void }

/** The channels of this process; null: not configured. */
export type Senders = Record<ChannelName, Sender | null>

export type Sending = Reader & { log: Logger; senders: Senders; leaseSeconds?: number }

const MAX_ATTEMPTS = 8
const FIRST_RETRY_SECONDS = 15
const LAST_RETRY_SECONDS = 3600

/** Sends what is due on every channel, outside of any transaction, and writes down what became of it. */
export async function sendDeliveries(sending: Sending): Promise<void> {
  await Promise.all((['email', 'webPush'] as const).map((channel) => sendChannel(sending, channel)))
}

async function sendChannel(sending: Sending, channel: ChannelName): Promise<void> {
  let taken = TAKEN_AT_ONCE
  while (taken >= TAKEN_AT_ONCE) {
    const { leaseSeconds = LEASE_SECONDS } = sending
    const leaseEndsAt = performance.now() + leaseSeconds * 1000
    const deliveries = await takeDeliveries(sending.pool, channel, leaseSeconds)
    taken = deliveries.length
    if (taken > 0) await sendTaken(sending, sending.senders[channel], deliveries, leaseEndsAt)
  }
}

async function sendTaken(
  sending: Sending,
  sender: Sender | null,
  deliveries: Delivery[],
  leaseEndsAt: number,
): Promise<void> {
  const { pool } = sending
  if (!sender) {
    const outcome: Outcome = { state: 'skipped', reason: 'notConfigured' }
    return recordOutcomes(
      pool,
      deliveries.map((delivery) => ({ delivery, outcome })),
    )
  }
  const { sendable, settled } = await judgeApart(
    sending,
    deliveries.filter((d) => d.notificationId !== '0'),
  )
  await recordOutcomes(pool, settled)
  const questions = deliveries.filter((d) => d.notificationId === '0')
  const parcels: Content[][] = [
    ...Map.groupBy(sendable, ({ delivery }) => delivery.sendId).values(),
    ...questions.map((delivery) => [{ delivery, notification: null }]),
  ]
  await Promise.all(parcels.map((parcel) => sendParcel(sending, sender, parcel, leaseEndsAt)))
}

/** Together; when that fails, each message by itself, so that one that cannot be judged holds up no other. */
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
    sending.log.warn({ err: error, sendId: deliveries[0]?.sendId }, 'a delivery cannot be judged')
    const outcome = again(error)
    return {
      sendable: [],
      settled: deliveries.map((delivery) => ({ delivery, outcome: later(outcome, delivery.attempts) })),
    }
  }
}

type Content = { delivery: Delivery; notification: Notification | null }

/** Each outcome is written down at once: what is sent twice after a crash is one message, not a batch. */
async function sendParcel(
  { pool, log }: Sending,
  sender: Sender,
  contents: Content[],
  leaseEndsAt: number,
): Promise<void> {
  const [first] = contents
  if (!first) return
  const { userId, target, sendId, channel } = first.delivery
  const notifications = contents.flatMap(({ notification }) => notification ?? [])
  const outcome = await sender.send({ userId, target, sendId, notifications, leaseEndsAt }).catch(again)
  if ('error' in outcome) log.warn({ channel, userId, sendId, ...outcome }, 'a delivery was not taken')
  await recordOutcomes(
    pool,
    contents.map(({ delivery }) => ({ delivery, outcome: later(outcome, delivery.attempts) })),
  )
}

function again(error: unknown): Outcome {
  return { state: 'retry', error: messageOf(error), afterSeconds: 0, counts: true }
}

/** Exponential backoff with jitter; not before the provider asked for; failed for good after the last attempt. */
function later(outcome: Outcome, attempts: number): Outcome {
  if (outcome.state !== 'retry' || !outcome.counts) return outcome
  if (attempts >= MAX_ATTEMPTS) return { state: 'failed', error: outcome.error }
  const wait = Math.min(LAST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2 ** (attempts - 1))
  return { ...outcome, afterSeconds: Math.max(outcome.afterSeconds, wait * (0.75 + Math.random() / 2)) }
}
