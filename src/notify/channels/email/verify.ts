import type pg from 'pg'
import { violates } from '../../../base/failure.ts'
import type { Config } from '../../../config.ts'
import { inTransaction } from '../../../db/transaction.ts'
import { fail } from '../../../errors.ts'
import { lockInboxes } from '../../dispatch/objects.ts'
import { translateBusy } from '../../inbox/lock.ts'
import { refreshReachability } from '../reachability.ts'
import { contentOf, isSigned, signToken } from '../signed-token.ts'

const LIVES_MS = 7 * 24 * 3600 * 1000

/** Token for the mail that verifies an address. Valid for a week and for this address only. */
export function emailToken(
  config: Pick<Config, 'jwtSecret'>,
  userId: string,
  email: string,
  expiresAt = Date.now() + LIVES_MS,
): string {
  return signToken(config, 'verify-email', [userId, expiresAt, Buffer.from(email).toString('base64url')].join('.'))
}

/**
 * Verifies the address: the user may now receive mail there, and no one else can take it. A new address replaces the
 * former one. Idempotent.
 * Returns the user.
 * @throws {AppError} BAD_TOKEN when the token is forged or expired, or the address has changed; EMAIL_TAKEN when
 *   another user has verified it
 */
export async function verifyEmail(pool: pg.Pool, config: Config, token: string): Promise<string> {
  const { userId, email } = read(config, token)
  await inTransaction(pool, async (client) => {
    const { rows } = await client.query<{ email: string; newEmail: string | null }>(
      'select email, new_email as "newEmail" from social.users where id = $1 and deleted_at is null for no key update',
      [userId],
    )
    if (rows[0]?.email !== email && rows[0]?.newEmail !== email) throw fail('BAD_TOKEN')
    await lockInboxes(client, [userId], false)
    await client.query(rows[0].email === email ? confirmAddress : replaceAddress, [userId])
    await refreshReachability(client, [userId])
  })
    .catch((error) => {
      throw violates(error, 'email_taken') ? fail('EMAIL_TAKEN', undefined, { cause: error }) : error
    })
    .catch(translateBusy)
  return userId
}

const confirmAddress = 'update social.users set email_verified_at = coalesce(email_verified_at, now()) where id = $1'
const replaceAddress =
  'update social.users set email = new_email, new_email = null, email_verified_at = now() where id = $1'

/** A longer list could only serve to hide one account. The newest come first, and the owner can sign up again. */
const SHOWN = 50

/**
 * The accounts that the owner of the address may confirm, each with its own token: every account that names the
 * address, or only the one that has verified it. A stranger may have named it first, and few mails a day ask.
 * @throws {AppError} BAD_TOKEN
 */
export async function accountsOf(
  pool: pg.Pool,
  config: Config,
  token: string,
): Promise<{ username: string; locale: string | null; token: string }[]> {
  const { email, expiresAt } = read(config, token)
  const { rows } = await pool.query<{
    id: string
    username: string
    email: string
    locale: string | null
    verified: boolean
  }>(
    `select id, username, email, locale, email_verified_at is not null as verified from social.users
     where lower(email) = lower($1) and deleted_at is null
     union all
     select id, username, new_email, locale, false from social.users where lower(new_email) = lower($1) and deleted_at is null
     order by verified desc, id desc limit ${SHOWN}`,
    [email],
  )
  const accounts = rows[0]?.verified ? rows.slice(0, 1) : rows
  if (accounts.length === 0) throw fail('BAD_TOKEN')
  return accounts.map((account) => ({
    username: account.username,
    locale: account.locale,
    token: emailToken(config, account.id, account.email, expiresAt),
  }))
}

/**
 * Reads a token.
 * @throws {AppError} BAD_TOKEN when it is forged or expired
 */
function read(config: Config, token: string): { userId: string; email: string; expiresAt: number } {
  const [userId = '', expiresAt = '', address = ''] = contentOf(token).split('.')
  if (!isSigned(config, 'verify-email', token) || !(Number(expiresAt) > Date.now())) throw fail('BAD_TOKEN')
  return { userId, email: Buffer.from(address, 'base64url').toString(), expiresAt: Number(expiresAt) }
}
