import { fail } from '../../errors.ts'

/**
 * Rejects the passwords most frequent in leaks, and those made of the account's name or address (OWASP ASVS 5.0, 6.2.4
 * and 6.2.11).
 * @throws {AppError} PASSWORD_TOO_COMMON
 */
export async function refuseCommonPassword(
  password: string,
  account: { username: string; email: string | null },
): Promise<void> {
  const given = password.toLowerCase()
  const { username, email } = account
  const own = [username, ...(email === null ? [] : [email, email.split('@', 1)[0] ?? ''])].map((text) =>
    text.toLowerCase(),
  )
  if (own.includes(given.replace(/\d+$/, '')) || own.includes(given) || (await commonPasswords()).has(given))
    throw fail('PASSWORD_TOO_COMMON', 'Choose one that is harder to guess, such as several words')
}

/**
 * Loaded on first use, so that processes without accounts save the megabytes. The list omits passwords that are too
 * short anyway.
 */
function commonPasswords(): Promise<Set<string>> {
  read ??= import('@zxcvbn-ts/language-common').then(
    ({ dictionary }) => new Set(dictionary['passwords-common'].filter((password) => password.length >= 8)),
  )
  return read
}

let read: Promise<Set<string>> | undefined
