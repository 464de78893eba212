import { createHmac } from 'node:crypto'
import type { App } from '../../app.ts'
import { keyFor } from '../../base/signing.ts'
import type { Config } from '../../config.ts'
import { fail } from '../../errors.ts'
import { consume, createSharedLimiter, networkOf } from '../../http/rate-limits.ts'

export const FAILURES = 10
export const FAILURES_WITHIN_SECONDS = 15 * 60

/** `login`: as PostgreSQL lowers it. `userId` is undefined when it identifies no account. */
type Guess = { login: string; userId: string | undefined; fromKnownNetwork: boolean }

/**
 * Counts failed sign-ins from all addresses, because limits per address do not stop an attacker with many addresses.
 * They count per login, and per account for its username and its address together. Logins without an account count
 * in the same way, so that a refusal reveals nothing.
 */
export function createSignInLimit(app: App) {
  const countLogin = createCounter(app, 'sign-in-login')
  const countAccount = createCounter(app, 'sign-in-account')
  /**
   * Must be called before the password is checked. Exempts networks from which the account signed in before, so that
   * others' guesses do not lock out the owner.
   * @returns `refused`: the account has had too many failures by its other login. Answer as for a wrong password,
   * because RATE_LIMITED would reveal that both belong to one account. `succeeded`: call it when the password was right.
   * @throws {AppError} RATE_LIMITED
   */
  return async ({ login, userId, fromKnownNetwork }: Guess) => {
    const account = userId === undefined ? `login ${login}` : `id ${userId}`
    const [ofLogin, ofAccount] = await Promise.all([countLogin(login), countAccount(account)])
    if (ofLogin.refusal && !fromKnownNetwork) throw ofLogin.refusal
    return {
      refused: ofAccount.refusal !== undefined && !fromKnownNetwork,
      succeeded: () => Promise.all([ofLogin.giveBack(), ofAccount.giveBack()]),
    }
  }
}

export type SignInLimit = ReturnType<typeof createSignInLimit>

/**
 * Counts wrong passwords of signed-in users who confirm a request. Sign-ins count apart: anyone can fail at them, and
 * must not lock the user out here.
 */
export function createConfirmationLimit(app: App) {
  const count = createCounter(app, 'confirm-password')
  /**
   * Must be called before the password is checked.
   * @returns a function to call when the password was right
   * @throws {AppError} RATE_LIMITED
   */
  return async (userId: string): Promise<() => Promise<unknown>> => {
    const { refusal, giveBack } = await count(userId)
    if (refusal) throw refusal
    return giveBack
  }
}

export type ConfirmationLimit = ReturnType<typeof createConfirmationLimit>

/** The name separates the counters: a key of one, even if a client chooses its text, is never a key of another. */
function createCounter(app: App, name: string) {
  const limiter = createSharedLimiter(app, name, FAILURES, FAILURES_WITHIN_SECONDS)
  return async (text: string) => {
    const key = hashOf(app.config, name, text).toString('base64url')
    const { allowed, left } = await consume(limiter, key)
    const retryAfter = Math.max(1, Math.ceil(left.msBeforeNext / 1000))
    return {
      refusal: allowed ? undefined : fail('RATE_LIMITED', 'Too many wrong passwords for this account', { retryAfter }),
      giveBack: () => limiter.reward(key, 1),
    }
  }
}

/** Key of limits per mail address. */
export function addressKey(config: Pick<Config, 'jwtSecret'>, email: string): string {
  return hashOf(config, 'asked address', email.toLowerCase()).toString('base64url')
}

/** Hash of an address's network, stored with a session. */
export function networkHash(config: Pick<Config, 'jwtSecret'>, ip: string): Buffer {
  return hashOf(config, 'network', networkOf(ip))
}

/** Hash with a key. Addresses and names are so few that a plain hash could be reversed by trying all. */
export function hashOf({ jwtSecret }: Pick<Config, 'jwtSecret'>, purpose: string, text: string): Buffer {
  return createHmac('sha256', keyFor(jwtSecret, purpose)).update(text).digest().subarray(0, 16)
}
