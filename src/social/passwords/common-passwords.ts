import { fail } from '../../errors.ts'

/**
 * Refuses what guessers try first: the passwords that leaks hold most often, and those made of the account's own name or address
 * (OWASP ASVS 5.0, 6.2.4 and 6.2.11).
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
    throw fail('PASSWORD_TOO_COMMON', 'Choose one that is harder to guess: a few words, for example')
}

/** Read when first asked for: processes without accounts do without its megabytes. Shorter ones are refused by their length. */
function commonPasswords(): Promise<Set<string>> {
  read ??= import('@zxcvbn-ts/language-common').then(
    ({ dictionary }) => new Set(dictionary['passwords-common'].filter((password) => password.length >= 8)),
  )
  return read
}

let read: Promise<Set<string>> | undefined
