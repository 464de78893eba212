import type https from 'node:https'
import type pg from 'pg'
import type { Logger } from 'pino'
import type { Config } from '../../config.ts'
import { createAgents } from '../webhooks/endpoint.ts'
import type { WebhookOptions } from '../webhooks/sending.ts'
import { createEmail, createPrinter, createSmtp, type Transport } from './email/email.ts'
import type { Senders } from './send.ts'
import { createWebPush, publicAddressesOnly } from './web-push/web-push.ts'

export type SenderOptions = {
  /** Replaces the agent that refuses non-public addresses. For tests against a push service on loopback. */
  pushAgent?: https.Agent
  /** Timeout of a provider's answer, replacing the timeouts below. */
  timeoutMs?: number
  /** Stream to which an embedded server without SMTP_URL prints mails. */
  log?: Logger
}

/** Timeout of each answer of the mail server. */
const MAIL_TIMEOUT_MS = 10_000
/** Timeout of push services, which usually answer within a tenth of a second. */
const PUSH_TIMEOUT_MS = 3000
/** Timeout of endpoints, which may do their work before they answer. */
const WEBHOOK_TIMEOUT_MS = 15_000

export function webhookOptions(
  { webhookHosts }: Config,
  { timeoutMs = WEBHOOK_TIMEOUT_MS }: SenderOptions,
): WebhookOptions {
  return { agents: createAgents(webhookHosts), timeoutMs }
}

/** Creates the channels that the configuration names. */
export function createSenders(config: Config, pool: pg.Pool, options: SenderOptions): Senders {
  const { pushAgent, timeoutMs } = options
  const transport = mailTransport(config, options)
  return {
    email: transport && createEmail(pool, { config, publicUrl: publicUrlOf(config), transport }),
    webPush: config.vapid
      ? createWebPush(pool, {
          vapid: config.vapid,
          pushHosts: config.pushHosts,
          agent: pushAgent ?? publicAddressesOnly(),
          timeoutMs: timeoutMs ?? PUSH_TIMEOUT_MS,
        })
      : null,
  }
}

/** Only an embedded server prints mails. Other logs are collected, and nobody may read the tokens in them. */
function mailTransport(
  { smtp, embedded }: Config,
  { timeoutMs = MAIL_TIMEOUT_MS, log }: SenderOptions,
): Transport | null {
  if (smtp) return createSmtp({ smtp, timeoutMs })
  return embedded && log ? createPrinter(log) : null
}

/** SMTP_URL requires PUBLIC_URL; an embedded server needs neither. */
export function publicUrlOf({ publicUrl, basePath, host, port }: Config): string {
  const server = publicUrl?.replace(/\/+$/, '') ?? `http://${host.includes(':') ? `[${host}]` : host}:${port}`
  return server + basePath
}
