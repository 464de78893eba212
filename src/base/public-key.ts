import { createPublicKey, type KeyObject } from 'node:crypto'

/** A key that verifies tokens, and its only algorithm (RFC 7518, RFC 8037). */
export type PublicKey = { key: KeyObject; algorithm: 'RS256' | 'ES256' | 'EdDSA' }

/**
 * Reads PEM, also with line ends written as \n for one line of .env. Undefined for anything else, including private
 * keys.
 */
export function readPublicKey(pem: string): PublicKey | undefined {
  if (pem.includes('PRIVATE KEY')) return undefined
  try {
    const key = createPublicKey(pem.replaceAll('\\n', '\n'))
    const algorithm = algorithmOf(key)
    return algorithm && { key, algorithm }
  } catch {
    return undefined
  }
}

function algorithmOf({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): PublicKey['algorithm'] | undefined {
  if (asymmetricKeyType === 'rsa') return (asymmetricKeyDetails?.modulusLength ?? 0) >= 2048 ? 'RS256' : undefined
  if (asymmetricKeyType === 'ec') return asymmetricKeyDetails?.namedCurve === 'prime256v1' ? 'ES256' : undefined
  return asymmetricKeyType === 'ed25519' ? 'EdDSA' : undefined
}
