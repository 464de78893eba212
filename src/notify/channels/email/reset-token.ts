import type { Config } from '../../../config.ts'
import { isSigned, saidBy, signToken } from '../signed-token.ts'

const LIVES_MS = 30 * 60 * 1000

/** What a token depends on: with another password or another address it is void, so nobody uses it twice. */
type Account = { userId: string; email: string | null; passwordHash: string }

/** Allows setting another password, once, within half an hour. */
export function resetToken(
  config: Pick<Config, 'jwtSecret'>,
  { userId, ...unsaid }: Account,
  expiresAt = Date.now() + LIVES_MS,
): string {
  return signToken(config, 'reset-password', `${userId}.${expiresAt}`, textOf(unsaid))
}

/** The user whom a token names, which `isResetToken` has to confirm; undefined when it has expired or is malformed. */
export function namedByResetToken(token: string): string | undefined {
  const [, userId, expiresAt] = /^(\d{1,18})\.(\d{1,15})$/.exec(saidBy(token)) ?? []
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
