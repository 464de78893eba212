import { hkdfSync, timingSafeEqual } from 'node:crypto'

/**
 * A key for one purpose, derived from the secret that signs tokens. Signatures of one purpose are invalid for any
 * other.
 */
export function keyFor(secret: string, purpose: string): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, '', `ravenpost ${purpose}`, 32))
}

/** Compares in constant time. */
export function sameBytes(a: Buffer, b: Buffer): boolean {
  return a.length === b.length && timingSafeEqual(a, b)
}
