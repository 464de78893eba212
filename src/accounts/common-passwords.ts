import { fail } from '../errors.ts'

/**
 * Refuses what guessers try first: passwords made of the account's own name or address (OWASP ASVS 5.0, 6.2.11).
 * @throws {AppError} PASSWORD_TOO_COMMON
 */
export async function refuseCommonPassword(
  password: string,
  account: { username: string; email: string },
): Promise<void> {
  const given = password.toLowerCase()
  const own = [account.username, account.email, account.email.split('@', 1)[0] ?? ''].map((text) => text.toLowerCase())
  if (own.includes(given.replace(/\d+$/, '')) || own.includes(given))
    throw fail('PASSWORD_TOO_COMMON', 'Choose one that is harder to guess: a few words, for example')
}
