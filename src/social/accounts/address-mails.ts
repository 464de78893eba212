import type { RateLimiterAbstract } from 'rate-limiter-flexible'
import type { App } from '../../app.ts'
import { scaledLimit, writesMail } from '../../config.ts'
import { consume, createSharedLimiter, wideNetworkOf } from '../../http/rate-limits.ts'
import {
  ASKS_ADDRESS,
  ASKS_NEW_ADDRESS,
  isAnothers,
  queueAccountMail,
} from '../../notify/channels/email/account-mails.ts'
import { addressKey } from '../passwords/failed-sign-ins.ts'

const HOUR_SECONDS = 3600
const DAY_SECONDS = 24 * HOUR_SECONDS
/** Maximum mails per network and day, and per mail domain and hour. RATE_LIMIT_SCALE multiplies both. */
const OF_NETWORK_A_DAY = 50
const OF_DOMAIN_AN_HOUR = 1000
/** Maximum mails on request per address and day, for users whose mail was lost. RATE_LIMIT_SCALE multiplies it. */
const WANTED_OF_ADDRESS_A_DAY = 5

type Question = { userId: string; email: string; ip: string }
type Kind = 'address' | 'wanted' | 'newAddress'

/**
 * Queues the mail that asks a user to confirm an address: `address` after a sign-up or sign-in, `wanted` on request,
 * `newAddress` for a replacement. Anyone can enter any address, so each address gets few of these mails for all
 * accounts together. Networks and domains have limits too. Beyond a limit nothing is queued, and the caller cannot
 * notice.
 */
export function createQuestions(app: App): (kind: Kind, question: Question) => Promise<void> {
  const { pool, config } = app
  const limits = {
    network: createSharedLimiter(app, 'ask-network', scaledLimit(config, OF_NETWORK_A_DAY), DAY_SECONDS),
    domain: createSharedLimiter(app, 'ask-domain', scaledLimit(config, OF_DOMAIN_AN_HOUR), HOUR_SECONDS),
    address: createSharedLimiter(app, 'ask-address', 1, DAY_SECONDS),
    wanted: createSharedLimiter(app, 'ask-address-again', scaledLimit(config, WANTED_OF_ADDRESS_A_DAY), DAY_SECONDS),
  }
  return async (kind, { userId, email, ip }) => {
    if (!writesMail(config)) return
    const address = email.toLowerCase()
    const key = addressKey(config, email)
    const counted: [RateLimiterAbstract, string][] = [
      [limits.network, wideNetworkOf(ip)],
      [limits.domain, address.slice(address.lastIndexOf('@') + 1)],
      [kind === 'address' ? limits.address : limits.wanted, key],
    ]
    for (const [limiter, key] of counted) if (!(await consume(limiter, key)).allowed) return
    const [target, statement] = queued[kind]
    await pool.query({ name: `ask_${kind}`, text: statement, values: [userId, target] })
  }
}

/**
 * Whether the user `u` needs another mail: the last link expired, or no mail was sent because mail was not configured.
 */
export const isToBeAsked = `u.email_verified_at is null
  and not exists (
    select from notify.deliveries d
    where d.user_id = u.id and d.notification_id = 0 and d.channel = 'email' and d.target = '${ASKS_ADDRESS}'
      and (d.due_at is not null or d.state <> 'skipped' and d.updated_at > now() - interval '7 days'))
  and not ${isAnothers('u.email')}`

const queued: Record<Kind, [target: string, statement: string]> = {
  address: [ASKS_ADDRESS, queueAccountMail(isToBeAsked)],
  wanted: [ASKS_ADDRESS, queueAccountMail(`u.email_verified_at is null and not ${isAnothers('u.email')}`)],
  newAddress: [ASKS_NEW_ADDRESS, queueAccountMail(`u.new_email is not null and not ${isAnothers('u.new_email')}`)],
}
