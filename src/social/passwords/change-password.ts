import { rm } from 'node:fs/promises'
import type { App } from '../../app.ts'
import { writesMail } from '../../config.ts'
import { inTransaction } from '../../db/transaction.ts'
import { fail } from '../../errors.ts'
import type { Identity } from '../../http/identity.ts'
import { PASSWORD_CHANGED, queueAccountMail } from '../../notify/channels/email/account-mails.ts'
import { forgetEnded } from '../../notify/channels/web-push/subscriptions.ts'
import { endSession } from '../sessions/revoked-sessions.ts'
import { refuseCommonPassword } from './common-passwords.ts'
import { type Confirmation, confirmPassword } from './confirm-password.ts'
import { firstPasswordFile } from './first-password.ts'
import { hashPassword, shareOf } from './passwords.ts'

type Change = Confirmation & { currentPassword: string; password: string }

/**
 * Changes the user's password, ends all other sessions of the user, and sends a mail about it to a verified address.
 * @throws {AppError} WRONG_PASSWORD, PASSWORD_TOO_COMMON, PASSWORD_UNCHANGED, RATE_LIMITED
 */
export async function changePassword(
  app: App,
  { userId, sessionId }: Pick<Identity, 'userId' | 'sessionId'>,
  { password, ...confirmation }: Change,
): Promise<void> {
  const account = await confirmPassword(app, userId, confirmation)
  if (account.passwordHash === undefined) throw fail('WRONG_PASSWORD', 'This account has no password')
  if (password === confirmation.currentPassword) throw fail('PASSWORD_UNCHANGED')
  await refuseCommonPassword(password, account)
  const hash = await hashPassword(password, shareOf(app, confirmation.ip))
  const changed = await replacePassword(app, { userId, keptSession: sessionId, from: account.passwordHash, to: hash })
  if (!changed) throw fail('WRONG_PASSWORD')
  if (account.isFirst) await forgetFirstPassword(app)
}

type Replacement = { userId: string; keptSession: string | null; from: string; to: string }

/**
 * Ends all sessions of the user, except `keptSession` if given, and forgets an address that waits for its verification,
 * because someone who knew the old password may have entered it. False when the password has changed in the meantime.
 */
export async function replacePassword(app: App, { userId, keptSession, from, to }: Replacement): Promise<boolean> {
  const ended = await inTransaction(app.pool, async (client) => {
    // First and alone, so that the next statement also sees the session of a sign-in that held this lock.
    await client.query('select from social.users where id = $1::bigint for no key update', [userId])
    const { rows } = await client.query<{ changed: boolean; ended: string[] }>(change, [userId, from, to, keptSession])
    if (!rows[0]?.changed) return undefined
    await forgetEnded(client, userId)
    if (writesMail(app.config)) await client.query(queueMail, [userId, PASSWORD_CHANGED])
    return rows[0].ended
  })
  for (const id of ended ?? []) endSession(app, id)
  return ended !== undefined
}

export async function forgetFirstPassword({ config }: App): Promise<void> {
  if (config.embedded) await rm(firstPasswordFile(config), { force: true })
}

/** SQL that fails for the second of two concurrent changes, because its old password no longer matches. */
const change = `
  with u as (
    update social.users set password_hash = $3, password_change_required = false, new_email = null
    where id = $1::bigint and password_hash = $2 and deleted_at is null returning id
  ), s as (
    update social.sessions s set revoked_at = now() from u
    where s.user_id = u.id and s.id is distinct from $4::bigint and s.revoked_at is null returning s.id
  )
  select exists (select from u) as changed, array(select id::text from s) as ended`

const queueMail = queueAccountMail('u.email_verified_at is not null', { critical: true })
