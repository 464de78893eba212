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
  /** Instead of the one that refuses addresses that are not public; for tests against a push service on loopback. */
  pushAgent?: https.Agent
  /** How long a provider may take to answer, instead of the times below. */
  timeoutMs?: number
  /** Where mails are printed while an embedded server has no SMTP_URL. */
  log?: Logger
}

/** Of each answer of the mail server. */
const MAIL_TIMEOUT_MS = 10_000
/** Push services answer within a tenth of a second. */
const PUSH_TIMEOUT_MS = 3000
/** Of endpoints, which may do their work before they answer. */
const WEBHOOK_TIMEOUT_MS = 15_000

export function webhookOptions(
  { webhookHosts }: Config,
  { timeoutMs = WEBHOOK_TIMEOUT_MS }: SenderOptions,
): WebhookOptions {
  return { agents: createAgents(webhookHosts), timeoutMs }
}

/** The channels that the configuration names. */
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

/** Only an embedded server prints mails: elsewhere the log is collected, and nobody may read the tokens in it. */
function mailTransport(
  { smtp, embedded }: Config,
  { timeoutMs = MAIL_TIMEOUT_MS, log }: SenderOptions,
): Transport | null {
  if (smtp) return createSmtp({ smtp, timeoutMs })
  return embedded && log ? createPrinter(log) : null
}

/** PUBLIC_URL is required with SMTP_URL; an embedded server does without both. */
function publicUrlOf({ publicUrl, basePath, host, port }: Config): string {
  const server = publicUrl?.replace(/\/+$/, '') ?? `http://${host.includes(':') ? `[${host}]` : host}:${port}`
  return server + basePath
}
