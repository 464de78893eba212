import { hkdfSync, timingSafeEqual } from 'node:crypto'

/** A key for one purpose, made from the secret that signs tokens: nothing signed with it can pass for something else. */
export function keyFor(secret: string, purpose: string): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, '', `ravenpost ${purpose}`, 32))
}

/** Takes the same time wherever the two differ. */
export function sameBytes(a: Buffer, b: Buffer): boolean {
  return a.length === b.length && timingSafeEqual(a, b)
}
