import type https from 'node:https'
import type pg from 'pg'
import type { Config } from '../config.ts'
import { createEmail } from './email.ts'
import type { Senders } from './send.ts'
import { createWebPush, publicAddressesOnly } from './web-push.ts'

export type SenderOptions = {
  /** Instead of the one that refuses addresses that are not public; for tests against a push service on loopback. */
  pushAgent?: https.Agent
  /** How long a provider may take to answer. */
  timeoutMs?: number
}

const TIMEOUT_MS = 10_000

/** The channels that the configuration names. */
export function createSenders(
  config: Config,
  pool: pg.Pool,
  { pushAgent, timeoutMs = TIMEOUT_MS }: SenderOptions,
): Senders {
  const agent = pushAgent ?? publicAddressesOnly()
  return {
    email: config.smtp && createEmail(pool, { smtp: config.smtp, config, publicUrl: publicUrlOf(config), timeoutMs }),
    webPush: config.vapid ? createWebPush(pool, { vapid: config.vapid, agent, timeoutMs }) : null,
  }
}

/** Mail is configured only together with it. */
function publicUrlOf({ publicUrl = '' }: Config): string {
  return publicUrl.replace(/\/+$/, '')
}
