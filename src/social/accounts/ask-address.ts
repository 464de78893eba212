import type { App } from '../../app.ts'
import { consume, createSharedLimiter, wideNetworkOf } from '../../http/rate-limits.ts'
import { ASKS_ADDRESS, queueAccountMail } from '../../notify/channels/email/account-mails.ts'
import { hashOf } from '../passwords/failed-sign-ins.ts'

const HOUR_SECONDS = 3600
const DAY_SECONDS = 24 * HOUR_SECONDS
/** Times RATE_LIMIT_SCALE. */
const OF_NETWORK_A_DAY = 50
const OF_DOMAIN_AN_HOUR = 1000

type Unverified = { userId: string; email: string; ip: string }

/**
 * Queues the mail that asks whether an address is the user's. Anyone may name any address at sign-up, so an address is asked once
 * a day, however many accounts claim it or claimed it, and a network and a domain have limits of their own. Beyond them nothing is
 * queued, and a later sign-in asks.
 */
export function createQuestions(app: App): (user: Unverified) => Promise<void> {
  const { pool, config } = app
  const scaled = (points: number) => Math.max(1, Math.round(points * config.rateLimitScale))
  const limits = {
    network: createSharedLimiter(app, 'ask-network', scaled(OF_NETWORK_A_DAY), DAY_SECONDS),
    domain: createSharedLimiter(app, 'ask-domain', scaled(OF_DOMAIN_AN_HOUR), HOUR_SECONDS),
    address: createSharedLimiter(app, 'ask-address', 1, DAY_SECONDS),
  }
  return async ({ userId, email, ip }) => {
    if (config.smtp === null) return
    const address = email.toLowerCase()
    const keys = {
      network: wideNetworkOf(ip),
      domain: address.slice(address.lastIndexOf('@') + 1),
      address: hashOf(config, 'asked address', address).toString('base64url'),
    }
    for (const each of ['network', 'domain', 'address'] as const)
      if (!(await consume(limits[each], keys[each])).allowed) return
    await pool.query({ name: 'ask_address', text: queueQuestion, values: [userId] })
  }
}

/** Whether the user `u` is to be asked: the link of the last mail ran out, or none was sent because mail was not configured. */
export const isToBeAsked = `u.email_verified_at is null
  and not exists (
    select from notify.deliveries d
    where d.user_id = u.id and d.notification_id = 0 and d.channel = 'email' and d.target = '${ASKS_ADDRESS}'
      and (d.due_at is not null or d.state <> 'skipped' and d.updated_at > now() - interval '7 days'))
  and not exists (
    select from social.users o where lower(o.email) = lower(u.email) and o.email_verified_at is not null)`

const queueQuestion = queueAccountMail(ASKS_ADDRESS, isToBeAsked)
