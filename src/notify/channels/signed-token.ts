import { createHmac } from 'node:crypto'
import { keyFor, sameBytes } from '../../base/signing.ts'
import type { Config } from '../../config.ts'

type Purpose = 'verify-email' | 'reset-password' | 'unsubscribe'

/**
 * Creates a token: `<content>.<signature>`. `context` is signed too, but not part of the token, because both sides know
 * it. A token works for one purpose only.
 */
export function signToken(
  { jwtSecret }: Pick<Config, 'jwtSecret'>,
  purpose: Purpose,
  content: string,
  context = '',
): string {
  return `${content}.${signatureOf(jwtSecret, purpose, content, context).toString('base64url')}`
}

/** The content of a token. Do not trust it before `isSigned` has checked it. */
export function contentOf(token: string): string {
  return token.slice(0, Math.max(0, token.lastIndexOf('.')))
}

/** Secrets come from the configuration. A signature with the previous secret is valid too. */
export function isSigned(
  { jwtSecret, jwtSecretPrevious }: Pick<Config, 'jwtSecret' | 'jwtSecretPrevious'>,
  purpose: Purpose,
  token: string,
  context = '',
): boolean {
  const given = Buffer.from(token.slice(token.lastIndexOf('.') + 1), 'base64url')
  return [jwtSecret, jwtSecretPrevious].some(
    (secret) => secret !== undefined && sameBytes(given, signatureOf(secret, purpose, contentOf(token), context)),
  )
}

function signatureOf(secret: string, purpose: Purpose, content: string, context: string): Buffer {
  return createHmac('sha256', keyFor(secret, purpose))
    .update(JSON.stringify([content, context]))
    .digest()
}
