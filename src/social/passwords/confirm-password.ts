import type { App } from '../../app.ts'
import { type Code, fail } from '../../errors.ts'
import type { ConfirmationLimit } from './failed-sign-ins.ts'
import { passwordFits, shareOf } from './passwords.ts'

export type Confirmation = { currentPassword: string | undefined; ip: string; limitFailures: ConfirmationLimit }

/** `passwordHash` is undefined for an account that signs in elsewhere and has no password. */
export type Account = { passwordHash: string | undefined; username: string; email: string | null; isFirst: boolean }

/**
 * Confirms that the user, and not just a holder of the access token, makes the request. Skips accounts without a
 * password. A password that was replaced while this one was hashed does not count.
 * @throws {AppError} WRONG_PASSWORD; `missing` when none was sent; RATE_LIMITED; UNAUTHENTICATED when the account was
 * deleted
 */
export async function confirmPassword(
  app: App,
  userId: string,
  { currentPassword, ip, limitFailures }: Confirmation,
  missing: Code = 'WRONG_PASSWORD',
): Promise<Account> {
  const account = await findAccount(app, userId)
  if (account.passwordHash === undefined) return account
  if (currentPassword === undefined) throw fail(missing, 'Send currentPassword')
  const succeeded = await limitFailures(userId)
  if (!(await passwordFits(account.passwordHash, currentPassword, shareOf(app, ip)))) throw fail('WRONG_PASSWORD')
  await succeeded()
  const now = await findAccount(app, userId)
  if (now.passwordHash !== account.passwordHash)
    throw fail('WRONG_PASSWORD', 'The password has changed in the meantime')
  return account
}

async function findAccount({ db }: App, userId: string): Promise<Account> {
  const found = await db
    .selectFrom('social.users')
    .select(['passwordHash', 'username', 'email', 'passwordChangeRequired as isFirst'])
    .where('id', '=', userId)
    .where('deletedAt', 'is', null)
    .executeTakeFirst()
  if (!found) throw fail('UNAUTHENTICATED', 'The account was deleted')
  return { ...found, passwordHash: isHash(found.passwordHash) ? found.passwordHash : undefined }
}

/** True for a password hash. Any other value means that the account has no password. */
export function isHash(stored: string | null | undefined): stored is string {
  return stored?.startsWith('$') ?? false
}
