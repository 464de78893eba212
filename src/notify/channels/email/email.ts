import nodemailer from 'nodemailer'
import type pg from 'pg'
import type { Config } from '../../../config.ts'
import type { Outcome } from '../deliveries.ts'
import type { Limits } from '../fair-queue.ts'
import { createGuard, ProviderTrouble } from '../guard.ts'
import type { Parcel, Sender } from '../send.ts'
import { PASSWORD_CHANGED } from './account-mails.ts'
import { digest, passwordChanged, question, type Words } from './mail.ts'
import { unsubscribeToken } from './unsubscribe.ts'
import { emailToken } from './verify.ts'

const CONNECTIONS = 5
/**
 * Of the server to one mail, at most: connection, greeting, EHLO, STARTTLS, EHLO, AUTH twice, MAIL, RCPT, DATA, and the mail itself.
 * Each may take as long as the timeout, and another process may send the mail when the lease ends.
 */
const ANSWERS = 11
export const MAIL_LIMITS: Limits = { slots: CONNECTIONS, slowSlots: CONNECTIONS, perSecond: 20, isSingle: true }
const guardOptions = { perSecond: MAIL_LIMITS.perSecond, atOnce: CONNECTIONS, breakAfter: 5, halfOpenAfterMs: 15_000 }

export type EmailOptions = {
  smtp: NonNullable<Config['smtp']>
  config: Pick<Config, 'jwtSecret'>
  /** Without a slash at its end. */
  publicUrl: string
  timeoutMs: number
}

/** Mail by SMTP: a digest of what is unread, to verified addresses only; besides, mails about the account. */
export function createEmail(pool: pg.Pool, options: EmailOptions): Sender {
  const transport = nodemailer.createTransport(connectionUrl(options), { from: options.smtp.from })
  const guard = createGuard(guardOptions)
  return {
    async send(parcel) {
      const addressee = await findAddressee(pool, parcel)
      if (!addressee) return { state: 'skipped', reason: 'unreachable' }
      const mail = {
        ...write(parcel, addressee, options),
        to: { name: '', address: addressee.email },
        messageId: messageId(parcel, options),
      }
      const turn = { leaseEndsAt: parcel.leaseEndsAt, timeoutMs: ANSWERS * options.timeoutMs }
      return guard(turn, () => transport.sendMail(mail).then((): Outcome => ({ state: 'sent' }), outcomeOf))
    },
    closedSeconds: () => guard.closedSeconds(),
    close: () => transport.close(),
  }
}

/**
 * Options of SMTP_URL win. Unless they say otherwise, nothing is sent without TLS: anyone between us and the server could remove its
 * offer of STARTTLS and read the password. That goes for servers on loopback too, since what listens there may be a tunnel.
 */
function connectionUrl({ smtp, timeoutMs }: EmailOptions): string {
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

type Addressee = { email: string }

async function findAddressee(pool: pg.Pool, parcel: Parcel): Promise<Addressee | undefined> {
  const { rows } = await pool.query<Addressee>({
    name: 'addressee',
    text: `select email from social.users u
           where id = $1 and deleted_at is null and (email_verified_at is null) = $2
             and not ($2 and exists (
               select from social.users o where lower(o.email) = lower(u.email) and o.email_verified_at is not null))`,
    values: [parcel.userId, isQuestion(parcel)],
  })
  return rows[0]
}

const isQuestion = ({ notifications, target }: Parcel) => notifications.length === 0 && target !== PASSWORD_CHANGED

/** One-click unsubscription as of RFC 8058. */
function write(parcel: Parcel, addressee: Addressee, { config, publicUrl }: EmailOptions) {
  const { userId, notifications } = parcel
  if (isQuestion(parcel)) {
    const token = emailToken(config, userId, addressee.email)
    return question(`${publicUrl}/auth/verify-email?token=${token}`)
  }
  if (notifications.length === 0)
    return { ...passwordChanged(publicUrl), headers: { 'Auto-Submitted': 'auto-generated' } }
  const url = `${publicUrl}/unsubscribe/${unsubscribeToken(config, userId)}`
  const words: Words = digest(notifications, publicUrl, url)
  return {
    ...words,
    headers: {
      'List-Unsubscribe': `<${url}>`,
      'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click',
      'Auto-Submitted': 'auto-generated',
    },
  }
}

/** Mailboxes drop a second mail with the id of one they have. */
function messageId({ sendId }: Parcel, { smtp }: EmailOptions): string {
  const domain = smtp.from.replace(/^.*@|>.*$/g, '')
  return `<ravenpost.${sendId}@${domain}>`
}

type SmtpError = Error & { code?: string; responseCode?: number; command?: string }

/** 5xx after RCPT TO is about the address, after DATA about the mail; all else is about the server, and passes. */
function outcomeOf(error: SmtpError): Outcome {
  const refused = (error.responseCode ?? 0) >= 500
  if (refused && error.command === 'RCPT TO') return { state: 'bounced', error: error.message }
  if (refused && error.command === 'DATA') return { state: 'failed', error: error.message }
  const plain = error.code === 'ETLS' && refused ? '; the server does no TLS: see requireTLS=false in SMTP_URL' : ''
  throw new ProviderTrouble(`${error.message}${plain}`, { cause: error })
}
