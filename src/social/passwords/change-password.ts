import { rm } from 'node:fs/promises'
import type { App } from '../../app.ts'
import { inTransaction } from '../../db/transaction.ts'
import { fail } from '../../errors.ts'
import { PASSWORD_CHANGED, queueAccountMail } from '../../notify/channels/email/account-mails.ts'
import { forgetEnded } from '../../notify/channels/web-push/subscriptions.ts'
import { endSession } from '../sessions/revoked-sessions.ts'
import type { Identity } from '../sessions/tokens.ts'
import { refuseCommonPassword } from './common-passwords.ts'
import type { FailureLimit } from './failed-sign-ins.ts'
import { firstPasswordFile } from './first-password.ts'
import { hashPassword, passwordFits, shareOf } from './passwords.ts'

type Change = { currentPassword: string; password: string; ip: string; limitFailures: FailureLimit }

/**
 * Gives the user another password, ends all of the user's other sessions, and says so in a mail to a verified address.
 * @throws {AppError} WRONG_PASSWORD, PASSWORD_TOO_COMMON, PASSWORD_UNCHANGED, RATE_LIMITED
 */
export async function changePassword(
  app: App,
  { userId, sessionId }: Pick<Identity, 'userId' | 'sessionId'>,
  { currentPassword, password, ip, limitFailures }: Change,
): Promise<void> {
  const user = await findPassword(app, userId)
  const succeeded = await limitFailures(`id ${userId}`, false)
  if (!(await passwordFits(user?.passwordHash, currentPassword, shareOf(app, ip))) || !user)
    throw fail('WRONG_PASSWORD')
  await succeeded()
  if (password === currentPassword) throw fail('PASSWORD_UNCHANGED')
  await refuseCommonPassword(password, user)
  const values = [userId, user.passwordHash, await hashPassword(password, shareOf(app, ip)), sessionId]
  const ended = await inTransaction(app.pool, async (client) => {
    const { rows } = await client.query<{ changed: boolean; ended: string[] }>(change, values)
    if (!rows[0]?.changed) throw fail('WRONG_PASSWORD')
    await forgetEnded(client, userId)
    if (app.config.smtp) await client.query(queueMail, [userId])
    return rows[0].ended
  })
  for (const id of ended) endSession(app, id)
  if (user.isFirst && app.config.embedded) await rm(firstPasswordFile(app.config), { force: true })
}

type Found = { passwordHash: string; username: string; email: string; isFirst: boolean }

async function findPassword({ pool }: App, userId: string): Promise<Found | undefined> {
  const { rows } = await pool.query<Found>(
    `select password_hash as "passwordHash", username, email, password_change_required as "isFirst"
     from social.users where id = $1::bigint and deleted_at is null`,
    [userId],
  )
  return rows[0]
}

/** Of two changes at a time, the second no longer finds the password that it was allowed by. */
const change = `
  with u as (
    update social.users set password_hash = $3, password_change_required = false
    where id = $1::bigint and password_hash = $2 and deleted_at is null returning id
  ), s as (
    update social.sessions s set revoked_at = now() from u
    where s.user_id = u.id and s.id <> $4::bigint and s.revoked_at is null returning s.id
  )
  select exists (select from u) as changed, array(select id::text from s) as ended`

const queueMail = queueAccountMail(PASSWORD_CHANGED, 'u.email_verified_at is not null', { critical: true })
