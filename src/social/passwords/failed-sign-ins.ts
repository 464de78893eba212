import { createHmac } from 'node:crypto'
import type { App } from '../../app.ts'
import { keyFor } from '../../base/signing.ts'
import type { Config } from '../../config.ts'
import { fail } from '../../errors.ts'
import { consume, createSharedLimiter, networkOf } from '../../http/rate-limits.ts'

export const FAILURES = 10
export const FAILURES_WITHIN_SECONDS = 15 * 60

/**
 * Counts wrong passwords for one name, from wherever they come: limits by address do not stop somebody with many addresses.
 * Names that nobody has are counted too, so a refusal says nothing about them.
 */
export function createFailureLimit(app: App) {
  const limiter = createSharedLimiter(app, 'sign-in-name', FAILURES, FAILURES_WITHIN_SECONDS)
  /**
   * To be called before the password is looked at. A network from which this account was signed in to before goes on: the owner
   * is not locked out by others' guesses.
   * @returns what to call when the password was right
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

/** Of the network of an address, to be kept with a session. */
export function networkHash(config: Pick<Config, 'jwtSecret'>, ip: string): Buffer {
  return hashOf(config, 'network', networkOf(ip))
}

/** Addresses and names are few enough to be tried one by one, so a plain hash would hide nothing. */
export function hashOf({ jwtSecret }: Pick<Config, 'jwtSecret'>, purpose: string, text: string): Buffer {
  return createHmac('sha256', keyFor(jwtSecret, purpose)).update(text).digest().subarray(0, 16)
}
