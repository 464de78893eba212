import type https from 'node:https'
import type pg from 'pg'
import type { Config } from '../config.ts'
import type { Senders } from './send.ts'
import { createWebPush, publicAddressesOnly } from './web-push.ts'

/** `pushAgent`: instead of the one that refuses addresses that are not public; for tests against a push service on loopback. */
export type SenderOptions = { pushAgent?: https.Agent }

/** The channels that the configuration names. */
export function createSenders(config: Config, pool: pg.Pool, { pushAgent }: SenderOptions): Senders {
  return {
    email: null,
    webPush: config.vapid ? createWebPush(pool, config.vapid, pushAgent ?? publicAddressesOnly()) : null,
  }
}
