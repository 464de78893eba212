import { createHash } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import https from 'node:https'
import type pg from 'pg'
import { RequestFilteringHttpsAgent } from 'request-filtering-agent'
import webPush from 'web-push'
import type { Config } from '../../../config.ts'
import { messageOf } from '../../../errors.ts'
import { formatState } from '../../../protocol/changes.ts'
import type { Notification } from '../../../protocol/notification.ts'
import { inboxOf } from '../../inbox/lock.ts'
import type { Outcome } from '../deliveries.ts'
import type { Limits } from '../fair-queue.ts'
import { createGuard, type Guard, ProviderTrouble } from '../guard.ts'
import type { Parcel, Sender } from '../send.ts'
import { isPushService } from './push-hosts.ts'
import { isPoint, type Subscription, sessionLives, unsubscribe } from './subscriptions.ts'

const SECOND = 1000
/** Limits per push service. */
export const PUSH_LIMITS: Limits = { slots: 50, slowSlots: 5, perSecond: 200 }
/** Maximum number of guards. There are few push services, but users can register any endpoint. */
const GUARDS_KEPT = 1000
const guardOptions = {
  perSecond: PUSH_LIMITS.perSecond,
  atOnce: PUSH_LIMITS.slots,
  breakAfter: 5,
  halfOpenAfterMs: 10 * SECOND,
}
const LONGEST_WAIT_SECONDS = 24 * 3600
const FOUR_WEEKS_SECONDS = 28 * 24 * 3600

/** Refuses private and reserved addresses after name resolution: a subscription must not reach into our network. */
export const publicAddressesOnly = () => new RequestFilteringHttpsAgent({ keepAlive: true, maxSockets: 50 })

export type PushOptions = {
  vapid: NonNullable<Config['vapid']>
  pushHosts: string[]
  agent: https.Agent
  timeoutMs: number
}

/** Web Push (RFC 8030) with VAPID (RFC 8292). Each push service has its own circuit breaker. */
export function createWebPush(pool: pg.Pool, options: PushOptions): Sender {
  const guards = new Map<string, Guard>()
  const guardOf = ({ endpoint }: Subscription) => {
    const origin = originOf(endpoint)
    const guard = guards.get(origin) ?? createGuard({ ...guardOptions, name: `webPush ${origin}` })
    guards.delete(origin)
    guards.set(origin, guard)
    const [unusedForLongest = ''] = guards.keys()
    if (guards.size > GUARDS_KEPT) guards.delete(unusedForLongest)
    return guard
  }
  return {
    async send(parcel) {
      const subscription = await findSubscription(pool, parcel)
      if (!subscription) return { state: 'skipped', reason: 'unsubscribed' }
      if (!subscription.lives) {
        await unsubscribe(pool, parcel.userId, parcel.target)
        return { state: 'skipped', reason: 'unsubscribed' }
      }
      const [notification] = parcel.notifications
      if (!notification) return { state: 'cancelled', reason: 'removed' }
      // The subscription is older than the list or than a change of PUSH_HOSTS.
      if (!isPushService(subscription.endpoint, options.pushHosts))
        return { state: 'failed', error: 'the endpoint is not one of a push service' }
      if (!isPoint(subscription.keys.p256dh)) return { state: 'failed', error: 'the key of the browser is none' }
      const turn = { leaseEndsAt: parcel.leaseEndsAt, timeoutMs: options.timeoutMs }
      const outcome = await guardOf(subscription)(turn, () => post(subscription, notification, parcel, options))
      if (outcome.state === 'skipped') await unsubscribe(pool, parcel.userId, parcel.target)
      return outcome
    },
    closedSeconds: (origin) => guards.get(origin)?.closedSeconds() ?? 0,
    close: () => options.agent.destroy(),
  }
}

/** The origin of the push service. */
export const originOf = (endpoint: string) => new URL(endpoint).origin

/**
 * A push also closes messages that the device still shows although their notification was read, archived or removed. Only
 * this many of the user's latest deliveries are searched for them.
 */
const LOOKED_THROUGH = 100

/**
 * `lives`: true while its session exists. `close`: tags of messages sent there whose notification is read, archived or
 * removed.
 */
type Found = Subscription & { lives: boolean; epoch: string; modseq: number; unreadCount: number; close: string[] }

async function findSubscription(pool: pg.Pool, { userId, target }: Parcel): Promise<Found | undefined> {
  const { rows } = await pool.query<Found>({
    name: 'subscription',
    text: `select
             p.endpoint,
             jsonb_build_object('p256dh', p.p256dh, 'auth', p.auth) as keys,
             ${sessionLives('p')} as lives,
             (select epoch from notify.installation) as epoch,
             i.modseq::float8 as modseq,
             i.unread_count as "unreadCount",
             array(
               select d.notification_id::text
               from (
                 select notification_id, channel, target, state from notify.deliveries
                 where user_id = $1 order by notification_id desc limit ${LOOKED_THROUGH}
               ) d
               left join notify.notifications n on n.user_id = $1 and n.id = d.notification_id
               where d.channel = 'webPush' and d.target = p.id and d.state = 'sent'
                 and (n.id is null or n.read_at is not null or n.archived_at is not null)
             ) as close
           from notify.push_subscriptions p
           cross join ${inboxOf('p.user_id')}
           where p.user_id = $1 and p.id = $2`,
    values: [userId, target],
  })
  return rows[0]
}

async function post(
  subscription: Found,
  notification: Notification,
  { userId, sendId }: Parcel,
  { vapid: vapidDetails, agent, timeoutMs }: PushOptions,
): Promise<Outcome> {
  try {
    const options = {
      ...optionsOf(userId, notification),
      vapidDetails,
      headers: { 'X-Delivery-Id': sendId },
    }
    const payload = JSON.stringify(shownBy(notification, subscription))
    const { headers, body } = webPush.generateRequestDetails(subscription, payload, options)
    const request = https.request(subscription.endpoint, {
      method: 'POST',
      headers,
      agent,
      signal: AbortSignal.timeout(timeoutMs),
    })
    request.end(body)
    const [response]: IncomingMessage[] = await once(request, 'response')
    // Discard the response body, so that no server can make us buffer it.
    response?.on('error', () => {}).resume()
    return outcomeOf(response)
  } catch (error) {
    if (error instanceof ProviderTrouble) throw error
    if (isRefusedAddress(error))
      return { state: 'failed', error: 'the endpoint leads to an address that is not public' }
    throw new ProviderTrouble(messageOf(error), { cause: error })
  }
}

/** RFC 8030: 404 and 410 mean that the subscription has ended. */
function outcomeOf(response: IncomingMessage | undefined): Outcome {
  const status = response?.statusCode ?? 0
  if (status >= 200 && status < 300) return { state: 'sent' }
  if (status === 404 || status === 410) return { state: 'skipped', reason: 'unsubscribed' }
  if (status === 429 || status >= 500)
    throw new ProviderTrouble(`the push service answered ${status}`, {
      afterSeconds: askedToWait(response?.headers['retry-after'], Date.now()),
    })
  return { state: 'failed', error: `the push service answered ${status}` }
}

/**
 * Seconds that Retry-After requests, as a number or a date (RFC 9110, section 10.2.3); 0 for anything else. At most a
 * day, because users choose the endpoint. `now`: in ms since 1970.
 */
export function askedToWait(header: string | undefined, now: number): number {
  const seconds = header?.trim() ? Number(header) : 0
  const asked = Number.isNaN(seconds) ? (Date.parse(header ?? '') - now) / SECOND : seconds
  return Math.min(Math.max(asked || 0, 0), LONGEST_WAIT_SECONDS)
}

/** Whether the agent refused the address; see `publicAddressesOnly`. */
export function isRefusedAddress(error: unknown): boolean {
  return error instanceof Error && / is not allowed\. Because, /.test(error.message)
}

/** An update of a group replaces the message that waits at the push service for a sleeping browser. */
function optionsOf(userId: string, { id, groupKey, priority, expiresAt }: Notification) {
  const lives = Math.ceil((Date.parse(expiresAt) - Date.now()) / SECOND)
  const urgency = priority === 'critical' ? 'high' : priority
  return {
    TTL: Math.min(Math.max(lives, 0), FOUR_WEEKS_SECONDS),
    urgency: urgency satisfies webPush.Urgency,
    topic: createHash('sha256')
      .update(`${userId} ${groupKey ?? id}`)
      .digest('base64url')
      .slice(0, 32),
  }
}

/**
 * Content that the service worker shows. A message replaces the one with its tag: a group keeps its id while it grows. Push services
 * accept 4 KiB, and a character may take 4 bytes.
 */
export function shownBy(
  { id, type, priority, title, body, url, silent }: Notification,
  found: Pick<Found, 'epoch' | 'modseq' | 'unreadCount' | 'close'>,
) {
  return {
    id,
    state: formatState(found.epoch, found.modseq),
    unreadCount: found.unreadCount,
    tag: id,
    close: found.close,
    type,
    priority,
    title,
    body: body?.slice(0, 400) ?? null,
    url: url && url.length < 1000 ? url : null,
    silent,
  }
}
