import type https from 'node:https'
import type pg from 'pg'
import type { Config } from '../../config.ts'
import { createEmail } from './email/email.ts'
import type { Senders } from './send.ts'
import { createWebPush, publicAddressesOnly } from './web-push/web-push.ts'

export type SenderOptions = {
  /** Instead of the one that refuses addresses that are not public; for tests against a push service on loopback. */
  pushAgent?: https.Agent
  /** How long a provider may take to answer, instead of the times below. */
  timeoutMs?: number
}

/** Of each answer of the mail server. */
const MAIL_TIMEOUT_MS = 10_000
/** Push services answer within a tenth of a second. */
const PUSH_TIMEOUT_MS = 3000

/** The channels that the configuration names. */
export function createSenders(config: Config, pool: pg.Pool, { pushAgent, timeoutMs }: SenderOptions): Senders {
  const agent = pushAgent ?? publicAddressesOnly()
  return {
    email:
      config.smtp &&
      createEmail(pool, {
        smtp: config.smtp,
        config,
        publicUrl: publicUrlOf(config),
        timeoutMs: timeoutMs ?? MAIL_TIMEOUT_MS,
      }),
    webPush: config.vapid
      ? createWebPush(pool, {
          vapid: config.vapid,
          pushHosts: config.pushHosts,
          agent,
          timeoutMs: timeoutMs ?? PUSH_TIMEOUT_MS,
        })
      : null,
  }
}

/** Mail is configured only together with it. */
function publicUrlOf({ publicUrl = '' }: Config): string {
  return publicUrl.replace(/\/+$/, '')
}
