import nodemailer from 'nodemailer'
import type pg from 'pg'
import type { Logger } from 'pino'
import type { Config } from '../../../config.ts'
import type { Outcome } from '../deliveries.ts'
import type { Limits } from '../fair-queue.ts'
import { createGuard, ProviderTrouble } from '../guard.ts'
import type { Parcel, Sender } from '../send.ts'
import { accountMailOf } from './account-mails.ts'
import { digest, type Words } from './mail.ts'
import { unsubscribeToken } from './unsubscribe.ts'
import { wordsIn } from './words.ts'

const CONNECTIONS = 5
/**
 * Maximum number of server answers for one mail: connection, greeting, EHLO, STARTTLS, EHLO, AUTH twice, MAIL, RCPT,
 * DATA, and the mail itself. Each may take the whole timeout. After the lease ends, another process may send the mail.
 */
const ANSWERS = 11
export const MAIL_LIMITS: Limits = { slots: CONNECTIONS, slowSlots: CONNECTIONS, perSecond: 20, isSingle: true }
const guardOptions = { perSecond: MAIL_LIMITS.perSecond, atOnce: CONNECTIONS, breakAfter: 5, halfOpenAfterMs: 15_000 }

export type EmailOptions = {
  config: Pick<Config, 'jwtSecret'>
  /** Public URL of the server, without a trailing slash. */
  publicUrl: string
  transport: Transport
}

type Mail = Words & { to: string; headers: Record<string, string>; sendId: string }

/** Delivers mails. @throws {ProviderTrouble} when a retry may help */
export type Transport = {
  send(mail: Mail, leaseEndsAt: number): Promise<Outcome>
  closedSeconds?(): number
  close(): void
}

/** Sends digests of unread notifications to verified addresses, and mails about the account. */
export function createEmail(pool: pg.Pool, { transport, ...options }: EmailOptions): Sender {
  return {
    async send(parcel) {
      const mail = await write(pool, parcel, options)
      if (!mail) return { state: 'skipped', reason: 'unreachable' }
      return transport.send({ ...mail, sendId: parcel.sendId }, parcel.leaseEndsAt)
    },
    closedSeconds: () => transport.closedSeconds?.() ?? 0,
    close: () => transport.close(),
  }
}

export type SmtpOptions = { smtp: NonNullable<Config['smtp']>; timeoutMs: number }

export function createSmtp(options: SmtpOptions): Transport {
  const { smtp, timeoutMs } = options
  const transport = nodemailer.createTransport(connectionUrl(options), { from: smtp.from })
  const guard = createGuard({ ...guardOptions, name: 'email' })
  return {
    send({ to, sendId, ...mail }, leaseEndsAt) {
      const addressed = { ...mail, to: { name: '', address: to }, messageId: messageId(sendId, smtp.from) }
      const turn = { leaseEndsAt, timeoutMs: ANSWERS * timeoutMs }
      return guard(turn, () => transport.sendMail(addressed).then((): Outcome => ({ state: 'sent' }), outcomeOf))
    },
    closedSeconds: () => guard.closedSeconds(),
    close: () => transport.close(),
  }
}

/** Prints mails instead of sending them, including the tokens in their links. For trying things out on one machine. */
export function createPrinter(log: Logger): Transport {
  return {
    async send({ to, subject, text }) {
      log.info({ to, subject, text }, 'mail printed, because SMTP_URL is not set')
      return { state: 'sent' }
    },
    close() {},
  }
}

/**
 * URL of the mail server with defaults, which options in SMTP_URL override. By default nothing is sent without TLS, because
 * an attacker on the path could remove the server's TLS offer and read the password. This includes servers on loopback, since
 * the listener there may be a tunnel.
 */
function connectionUrl({ smtp, timeoutMs }: SmtpOptions): string {
  const url = new URL(smtp.url)
  const ours = {
    pool: 'true',
    maxConnections: CONNECTIONS,
    maxRequeues: 0,
    requireTLS: 'true',
    connectionTimeout: timeoutMs,
    greetingTimeout: timeoutMs,
    socketTimeout: timeoutMs,
  }
  for (const [name, value] of Object.entries(ours))
    if (!url.searchParams.has(name)) url.searchParams.set(name, String(value))
  return url.href
}

type Options = Omit<EmailOptions, 'transport'>

/** Creates a mail. Undefined when the user no longer has an address for it. */
function write(pool: pg.Pool, parcel: Parcel, options: Options): Promise<Omit<Mail, 'sendId'> | undefined> {
  return parcel.notifications.length === 0
    ? writeAboutAccount(pool, parcel, options)
    : writeDigest(pool, parcel, options)
}

async function writeAboutAccount(pool: pg.Pool, { userId, target }: Parcel, options: Options) {
  const { name, mail, rest } = accountMailOf(target)
  const { rows } = await pool.query<{ email: string | null; passwordHash: string; locale: string | null }>({
    name: `addressee_${name}`,
    text: `select ${mail.address} as email, u.password_hash as "passwordHash", u.locale, $2::text from social.users u
           where u.id = $1 and u.deleted_at is null`,
    values: [userId, rest],
  })
  const [{ email, passwordHash, locale } = { email: null, passwordHash: '', locale: null }] = rows
  if (email === null) return undefined
  const words = mail.write({ userId, email, passwordHash }, { ...options, words: wordsIn(locale) })
  return { ...words, to: email, headers: { 'Auto-Submitted': 'auto-generated' } }
}

/** Includes one-click unsubscription (RFC 8058). */
async function writeDigest(pool: pg.Pool, { userId, notifications }: Parcel, { config, publicUrl }: Options) {
  const { rows } = await pool.query<{ email: string; locale: string | null }>({
    name: 'addressee_of_digest',
    text: 'select email, locale from social.users where id = $1 and deleted_at is null and email_verified_at is not null',
    values: [userId],
  })
  if (!rows[0]) return undefined
  const url = `${publicUrl}/unsubscribe/${unsubscribeToken(config, userId)}`
  const headers = {
    'List-Unsubscribe': `<${url}>`,
    'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click',
    'Auto-Submitted': 'auto-generated',
  }
  return { ...digest(notifications, publicUrl, url, rows[0].locale), to: rows[0].email, headers }
}

/** Mailboxes drop a second mail with the same id. */
function messageId(sendId: string, from: string): string {
  return `<ravenpost.${sendId}@${from.replace(/^.*@|>.*$/g, '')}>`
}

type SmtpError = Error & { code?: string; responseCode?: number; command?: string }

/**
 * 5xx after RCPT TO concerns the address, and after DATA the mail. Every other error concerns the server and is
 * temporary.
 */
function outcomeOf(error: SmtpError): Outcome {
  const refused = (error.responseCode ?? 0) >= 500
  const message = withoutAddresses(error.message)
  if (refused && error.command === 'RCPT TO') return { state: 'bounced', error: message }
  if (refused && error.command === 'DATA') return { state: 'failed', error: message }
  const plain = error.code === 'ETLS' && refused ? '; the server does no TLS: see requireTLS=false in SMTP_URL' : ''
  throw new ProviderTrouble(`${message}${plain}`, { cause: error })
}

/** Mail servers repeat the address of the recipient, which readers of the console may not see. */
const withoutAddresses = (text: string) => text.replace(/[^\s<>"',:;()]+@[^\s<>"',:;()]+/g, '…')
