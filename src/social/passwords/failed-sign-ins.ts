import { createHmac } from 'node:crypto'
import type { App } from '../../app.ts'
import { keyFor } from '../../base/signing.ts'
import type { Config } from '../../config.ts'
import { fail } from '../../errors.ts'
import { consume, createSharedLimiter, networkOf } from '../../http/rate-limits.ts'

export const FAILURES = 10
export const FAILURES_WITHIN_SECONDS = 15 * 60

/**
 * Counts wrong passwords per name, from all addresses, because limits per address do not stop an attacker with many
 * addresses. Counts unknown names too, so that a refusal reveals nothing.
 */
export function createFailureLimit(app: App) {
  const limiter = createSharedLimiter(app, 'sign-in-name', FAILURES, FAILURES_WITHIN_SECONDS)
  /**
   * Must be called before the password is checked. Exempts networks from which the account signed in before, so that
   * others' guesses do not lock out the owner.
   * @returns a function to call when the password was right
   * @throws {AppError} RATE_LIMITED
   */
  return async (name: string, fromKnownNetwork: boolean): Promise<() => Promise<unknown>> => {
    const key = hashOf(app.config, 'sign-in name', name.toLowerCase()).toString('base64url')
    const { allowed, left } = await consume(limiter, key)
    if (!allowed && !fromKnownNetwork)
      throw fail('RATE_LIMITED', 'Too many wrong passwords for this account', {
        retryAfter: Math.max(1, Math.ceil(left.msBeforeNext / 1000)),
      })
    return () => limiter.reward(key, 1)
  }
}

export type FailureLimit = ReturnType<typeof createFailureLimit>

/** Hash of an address's network, stored with a session. */
export function networkHash(config: Pick<Config, 'jwtSecret'>, ip: string): Buffer {
  return hashOf(config, 'network', networkOf(ip))
}

/** Hash with a key. Addresses and names are so few that a plain hash could be reversed by trying all. */
export function hashOf({ jwtSecret }: Pick<Config, 'jwtSecret'>, purpose: string, text: string): Buffer {
  return createHmac('sha256', keyFor(jwtSecret, purpose)).update(text).digest().subarray(0, 16)
}
