import { hash, type Options, verify } from '@node-rs/argon2'
import type { App } from '../../app.ts'
import { passwordHashes } from '../../base/metrics.ts'
import { wideNetworkOf } from '../../http/rate-limits.ts'
import { createSlots, type Share } from './slots.ts'

/** OWASP Password Storage Cheat Sheet: argon2id with 19 MiB, two passes, one lane. The library's default is argon2id. */
const argon2id: Options = { memoryCost: 19_456, timeCost: 2, parallelism: 1 }

/** libuv has four threads: one is left for files and names. The last of those who wait does so for some seconds. */
const inSlot = createSlots(3, 500)

/** Of the 500 who wait, as many may be of one network; times RATE_LIMIT_SCALE. */
const OF_ONE_NETWORK = 50

export function shareOf({ config }: App, ip: string): Share {
  return { of: wideNetworkOf(ip), most: Math.max(1, Math.round(OF_ONE_NETWORK * config.rateLimitScale)) }
}

/**
 * In PHC string format.
 * @throws {AppError} BUSY when too many hashes wait
 */
export function hashPassword(password: string, share?: Share): Promise<string> {
  return inSlot(() => {
    passwordHashes.inc()
    return hash(password, argon2id)
  }, share)
}

/**
 * Costs the same when there is no such user (`stored` undefined), so that the time of an answer tells nobody who has an account.
 * @throws {AppError} BUSY when too many hashes wait
 */
export async function passwordFits(stored: string | undefined, password: string, share?: Share): Promise<boolean> {
  const known = stored ?? (await nobodysHash)
  const fits = await inSlot(() => {
    passwordHashes.inc()
    return verify(known, password)
  }, share)
  return fits && stored !== undefined
}

const nobodysHash = hashPassword('nobody has this password')
