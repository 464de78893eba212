import { createRemoteJWKSet, customFetch, errors, type FetchImplementation, type JWTVerifyGetKey } from 'jose'
import type { Logger } from 'pino'

const SECOND = 1000

export const limits = {
  fetchTimeoutMs: 5 * SECOND,
  /** Keys older than this are read again in the background. Requests continue with the known keys. */
  refreshAfterMs: 600 * SECOND,
  /**
   * Minimum time after the search for a key that does not exist before the set is read again, so that invented keys
   * cannot flood the provider. A rotation is noticed with the first token of the new key.
   */
  coolDownMs: 10 * SECOND,
  /** Minimum time after a failure before another read. */
  retryAfterMs: 5 * SECOND,
}

const MAX_BYTES = 1024 * 1024

/** The requested key is unknown, and the identity provider's keys cannot be read. */
export class KeysUnavailable extends Error {
  /** Seconds until the next read. */
  readonly retryAfter: number

  constructor(message: string, retryAfterMs: number, options?: ErrorOptions) {
    super(message, options)
    this.retryAfter = Math.ceil(retryAfterMs / SECOND)
  }
}

/**
 * Finds the key of a token in the provider's JWK Set (RFC 7517). While the provider is unreachable, known keys remain
 * in use. The returned function throws jose's errors for tokens with an unknown key, and KeysUnavailable.
 */
export function createKeys(
  url: string,
  log: Logger,
  { fetchTimeoutMs, refreshAfterMs, coolDownMs, retryAfterMs } = limits,
): JWTVerifyGetKey {
  let readAt = Number.NEGATIVE_INFINITY
  let failedAt = Number.NEGATIVE_INFINITY
  let missedAt = Number.NEGATIVE_INFINITY
  let known: object | undefined
  const isCoolingDown = () => performance.now() < missedAt + coolDownMs
  const fetchBounded: FetchImplementation = async (target, options) => {
    if (known && isCoolingDown()) return Response.json(known)
    const wait = failedAt + retryAfterMs - performance.now()
    if (wait > 0) throw new KeysUnavailable('the keys could not be read a moment ago', wait)
    try {
      known = await readKeySet(target, options)
      readAt = performance.now()
      return Response.json(known)
    } catch (cause) {
      failedAt = performance.now()
      log.warn({ err: cause, url }, 'cannot read the keys of the identity provider; using the known keys')
      throw new KeysUnavailable('the keys cannot be read', retryAfterMs, { cause })
    }
  }
  const keys = createRemoteJWKSet(new URL(url), {
    timeoutDuration: fetchTimeoutMs,
    cooldownDuration: 0,
    cacheMaxAge: Number.POSITIVE_INFINITY,
    [customFetch]: fetchBounded,
  })
  return async (header, token) => {
    if (known && performance.now() - readAt > refreshAfterMs && !keys.reloading) keys.reload().catch(() => undefined)
    const wasCoolingDown = isCoolingDown()
    try {
      return await keys(header, token)
    } catch (error) {
      if (error instanceof errors.JWKSNoMatchingKey && !wasCoolingDown) missedAt = performance.now()
      throw error
    }
  }
}

async function readKeySet(url: string, options: Parameters<FetchImplementation>[1]): Promise<object> {
  const response = await fetch(url, options)
  if (!response.ok) {
    await response.body?.cancel()
    throw new Error(`the provider answered ${response.status}`)
  }
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength
    if (bytes > MAX_BYTES) throw new Error(`the key set has more than ${MAX_BYTES} bytes`)
    chunks.push(chunk)
  }
  const keys: unknown = JSON.parse(Buffer.concat(chunks).toString())
  if (keys === null || typeof keys !== 'object' || !('keys' in keys) || !Array.isArray(keys.keys))
    throw new Error('the answer is not a JWK Set')
  return keys
}
