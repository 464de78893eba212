import { createHmac } from 'node:crypto'
import { keyFor, sameBytes } from '../../base/signing.ts'
import type { Config } from '../../config.ts'

type Purpose = 'verify-email' | 'reset-password' | 'unsubscribe'

/** `<said>.<signature>`; `unsaid` is signed too, but known to both sides. A token of one purpose is of no use for another. */
export function signToken(
  { jwtSecret }: Pick<Config, 'jwtSecret'>,
  purpose: Purpose,
  said: string,
  unsaid = '',
): string {
  return `${said}.${signatureOf(jwtSecret, purpose, said, unsaid).toString('base64url')}`
}

/** What a token says, which is not to be believed before `isSigned` has looked at it. */
export function saidBy(token: string): string {
  return token.slice(0, Math.max(0, token.lastIndexOf('.')))
}

/** Secrets as of the configuration: what was signed with the previous one holds, too. */
export function isSigned(
  { jwtSecret, jwtSecretPrevious }: Pick<Config, 'jwtSecret' | 'jwtSecretPrevious'>,
  purpose: Purpose,
  token: string,
  unsaid = '',
): boolean {
  const given = Buffer.from(token.slice(token.lastIndexOf('.') + 1), 'base64url')
  return [jwtSecret, jwtSecretPrevious].some(
    (secret) => secret !== undefined && sameBytes(given, signatureOf(secret, purpose, saidBy(token), unsaid)),
  )
}

function signatureOf(secret: string, purpose: Purpose, said: string, unsaid: string): Buffer {
  return createHmac('sha256', keyFor(secret, purpose))
    .update(JSON.stringify([said, unsaid]))
    .digest()
}
