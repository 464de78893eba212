import type { Config } from '../../../config.ts'
import { contentOf, isSigned, signToken } from '../signed-token.ts'

/** Milliseconds for which a link works. */
export const LIVES_MS = 30 * 60 * 1000

/** Data that a token depends on. A change of password or address invalidates it, so nobody can use it twice. */
type Account = { userId: string; email: string | null; passwordHash: string }

/** Allows one password change within half an hour. */
export function resetToken(
  config: Pick<Config, 'jwtSecret'>,
  { userId, ...context }: Account,
  expiresAt = Date.now() + LIVES_MS,
): string {
  return signToken(config, 'reset-password', `${userId}.${expiresAt}`, textOf(context))
}

/** The user that a token names; `isResetToken` must confirm it. Undefined when the token is malformed or expired. */
export function namedByResetToken(token: string): string | undefined {
  const [, userId, expiresAt] = /^(\d{1,18})\.(\d{1,15})$/.exec(contentOf(token)) ?? []
  return Number(expiresAt) > Date.now() ? userId : undefined
}

export function isResetToken(
  config: Pick<Config, 'jwtSecret' | 'jwtSecretPrevious'>,
  token: string,
  account: Omit<Account, 'userId'>,
): boolean {
  return isSigned(config, 'reset-password', token, textOf(account))
}

function textOf({ email, passwordHash }: Omit<Account, 'userId'>): string {
  return JSON.stringify([email, passwordHash])
}
