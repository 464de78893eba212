import { hash, type Options, verify } from '@node-rs/argon2'
import { type BulkheadPolicy, bulkhead, isBulkheadRejectedError } from 'cockatiel'
import type { App } from '../../app.ts'
import { passwordHashes } from '../../base/metrics.ts'
import { scaledLimit } from '../../config.ts'
import { fail } from '../../errors.ts'
import { wideNetworkOf } from '../../http/rate-limits.ts'

/**
 * OWASP Password Storage Cheat Sheet: argon2id with 19 MiB, two passes, one lane. The library's default is argon2id.
 */
const argon2id: Options = { memoryCost: 19_456, timeCost: 2, parallelism: 1 }

/** Concurrent hashes. libuv has four threads; one stays free for files and DNS. */
const AT_ONCE = 3
/** Maximum number of waiting hashes. The last one waits for some seconds. */
const WAITING = 500
const hashing = bulkhead(AT_ONCE, WAITING)

/**
 * Maximum number of waiting hashes per network, times RATE_LIMIT_SCALE, so that a flood from one network does not block the
 * others.
 */
const OF_ONE_NETWORK = 50
const networks = new Map<string, BulkheadPolicy>()

/** The network of a hash, and how many of its hashes may wait at a time. */
export type Share = { of: string; most: number }

export function shareOf({ config }: App, ip: string): Share {
  return { of: wideNetworkOf(ip), most: scaledLimit(config, OF_ONE_NETWORK) }
}

/**
 * Returns PHC string format.
 * @throws {AppError} BUSY when too many hashes wait
 */
export function hashPassword(password: string, share?: Share): Promise<string> {
  return inTurn(() => {
    passwordHashes.inc()
    return hash(password, argon2id)
  }, share)
}

/**
 * Checks a password. Takes equally long if the user does not exist (`stored` undefined), so that response times do not reveal
 * accounts.
 * @throws {AppError} BUSY too many hashes wait
 */
export async function passwordFits(stored: string | undefined, password: string, share?: Share): Promise<boolean> {
  const known = stored ?? (await nobodysHash)
  const fits = await inTurn(() => {
    passwordHashes.inc()
    return verify(known, password)
  }, share)
  return fits && stored !== undefined
}

const nobodysHash = hashPassword('nobody has this password')

async function inTurn<T>(work: () => Promise<T>, share?: Share): Promise<T> {
  try {
    return await (share ? inShare(share, () => hashing.execute(work)) : hashing.execute(work))
  } catch (error) {
    if (isBulkheadRejectedError(error)) throw fail('BUSY', 'Too many concurrent sign-ins', { retryAfter: 1 })
    throw error
  }
}

async function inShare<T>({ of, most }: Share, work: () => Promise<T>): Promise<T> {
  const capacity = AT_ONCE + most
  const share = networks.get(of) ?? bulkhead(capacity)
  networks.set(of, share)
  try {
    return await share.execute(work)
  } finally {
    if (share.executionSlots === capacity) networks.delete(of)
  }
}
