import type { Config } from '../../../config.ts'
import { linking, reporting, type Words } from './mail.ts'
import { resetToken } from './reset-token.ts'
import { emailToken } from './verify.ts'
import type { Catalogue } from './words.ts'

/**
 * Target of a mail that asks whether the address belongs to the user. Mails about an account are deliveries with notification
 * 0.
 */
export const ASKS_ADDRESS = 'primary'
/** Target of a mail that asks the same about a replacement of the current address. */
export const ASKS_NEW_ADDRESS = 'newAddress'
export const PASSWORD_CHANGED = 'passwordChanged'
export const RESETS_PASSWORD = 'resetPassword'
/** Target of a mail that informs the former address of a change. It contains the address, because the account no longer does. */
export const emailChanging = (address: string) => `${EMAIL_CHANGING} ${address}`
const EMAIL_CHANGING = 'emailChanging'

/** The user at the time the mail is written. `email` is the address of the mail. */
type Addressee = { userId: string; email: string; passwordHash: string }
type Links = { config: Pick<Config, 'jwtSecret'>; publicUrl: string; words: Catalogue }
type AccountMail = {
  /**
   * SQL for the address, using the user `u` and the rest of the target, $2. Null when there is nothing left to send.
   */
  address: string
  write(addressee: Addressee, links: Links): Words
}

/** SQL: whether a user other than `u` has verified this address. */
export const isAnothers = (address: string) => `exists (
  select from social.users o where lower(o.email) = lower(${address}) and o.email_verified_at is not null and o.id <> u.id)`

const mails: Record<string, AccountMail> = {
  [ASKS_ADDRESS]: {
    address: `case when u.email_verified_at is null and not ${isAnothers('u.email')} then u.email end`,
    write: ({ userId, email }, { config, publicUrl, words }) =>
      linking(words, 'address', `${publicUrl}/auth/verify-email?token=${emailToken(config, userId, email)}`),
  },
  [ASKS_NEW_ADDRESS]: {
    address: `case when not ${isAnothers('u.new_email')} then u.new_email end`,
    write: ({ userId, email }, { config, publicUrl, words }) =>
      linking(words, 'newAddress', `${publicUrl}/auth/verify-email?token=${emailToken(config, userId, email)}`),
  },
  [PASSWORD_CHANGED]: {
    address: 'case when u.email_verified_at is not null then u.email end',
    write: (_addressee, { publicUrl, words }) => reporting(words, 'passwordChanged', publicUrl),
  },
  [RESETS_PASSWORD]: {
    address: `case when not ${isAnothers('u.email')} then u.email end`,
    write: (addressee, { config, publicUrl, words }) =>
      linking(words, 'resetPassword', `${publicUrl}/auth/password/reset?token=${resetToken(config, addressee)}`),
  },
  [EMAIL_CHANGING]: {
    address: `case when u.email_verified_at is not null then nullif($2::text, '') end`,
    write: (_addressee, { publicUrl, words }) => reporting(words, 'addressChanging', publicUrl),
  },
}

/** The mail that a target names, and the rest of the target. */
export function accountMailOf(target: string): { name: string; mail: AccountMail; rest: string } {
  const [name = '', rest = ''] = target.split(' ', 2)
  const mail = mails[name]
  if (!mail) throw new Error(`there is no account mail named ${name}`)
  return { name, mail, rest }
}

/**
 * SQL that queues the mail $2 about the account $1, if `condition` holds for its user `u` and the same mail is not
 * already queued.
 * A later mail has a different id, because the id contains grown_modseq. No mailbox or digest has that id.
 */
export function queueAccountMail(condition: string, { critical = false } = {}): string {
  return `
    insert into notify.deliveries as d (user_id, notification_id, channel, target, grown_modseq, critical, due_at)
    select u.id, 0, 'email', $2::text, -(1000 * extract(epoch from now()))::bigint, ${critical}, now() from social.users u
    where u.id = $1::bigint and u.deleted_at is null and ${condition}
    on conflict (user_id, notification_id, channel, target) do update
    set state = 'queued', reason = null, last_error = null, attempts = 0, send_id = null, grown_modseq = excluded.grown_modseq,
      due_at = excluded.due_at, updated_at = now()
    where d.due_at is null`
}
