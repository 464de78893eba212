import type pg from 'pg'
import { violates } from '../accounts/sign-up.ts'
import type { Config } from '../config.ts'
import { inTransaction } from '../db/transaction.ts'
import { fail } from '../errors.ts'
import { translateBusy } from '../notifications/change-inbox.ts'
import { lockInboxes } from '../notifications/locks.ts'
import { refreshReachability } from './reachability.ts'
import { isSigned, saidBy, signToken } from './signed-token.ts'

const LIVES_MS = 7 * 24 * 3600 * 1000

/** For the mail that asks whether the address is the user's; good for a week, and for this address alone. */
export function emailToken(config: Pick<Config, 'jwtSecret'>, userId: string, email: string): string {
  return signToken(config, 'verify-email', `${userId}.${Date.now() + LIVES_MS}`, email)
}

/**
 * From now on mail may go to the address, and it is taken. Repeating it changes nothing.
 * @throws {AppError} BAD_TOKEN when it is forged, too old, or the address is another one meanwhile; EMAIL_TAKEN when another
 *   user showed that it is theirs
 */
export async function verifyEmail(pool: pg.Pool, config: Config, token: string): Promise<void> {
  const userId = userOf(token)
  await inTransaction(pool, async (client) => {
    const { rows } = await client.query<{ email: string }>(
      'select email from social.users where id = $1 and deleted_at is null for no key update',
      [userId],
    )
    if (!rows[0] || !isSigned(config, 'verify-email', token, rows[0].email)) throw fail('BAD_TOKEN')
    await lockInboxes(client, [userId], false)
    await client.query('update social.users set email_verified_at = coalesce(email_verified_at, now()) where id = $1', [
      userId,
    ])
    await refreshReachability(client, [userId])
  })
    .catch((error) => {
      throw violates(error, 'email_taken') ? fail('EMAIL_TAKEN', undefined, { cause: error }) : error
    })
    .catch(translateBusy)
}

/**
 * Whose address the token confirms, for the person who is asked: a stranger may have named the address.
 * @throws {AppError} BAD_TOKEN
 */
export async function accountOf(pool: pg.Pool, config: Config, token: string): Promise<{ username: string }> {
  const { rows } = await pool.query<{ username: string; email: string }>(
    'select username, email from social.users where id = $1 and deleted_at is null',
    [userOf(token)],
  )
  if (!rows[0] || !isSigned(config, 'verify-email', token, rows[0].email)) throw fail('BAD_TOKEN')
  return rows[0]
}

function userOf(token: string): string {
  const [userId = '', expires = ''] = saidBy(token).split('.')
  if (!/^\d{1,18}$/.test(userId) || !(Number(expires) > Date.now())) throw fail('BAD_TOKEN')
  return userId
}
