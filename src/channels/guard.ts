import {
  BrokenCircuitError,
  BulkheadRejectedError,
  bulkhead,
  ConsecutiveBreaker,
  circuitBreaker,
  handleAll,
  wrap,
} from 'cockatiel'
import { RateLimiterMemory, RateLimiterQueue } from 'rate-limiter-flexible'
import { messageOf } from '../errors.ts'
import type { Outcome } from './deliveries.ts'

/** Trouble of the provider, which passes: the delivery is tried again. `afterSeconds`: when the provider asked to. */
export class ProviderTrouble extends Error {
  readonly afterSeconds: number | undefined

  constructor(message: string, options: { afterSeconds?: number | undefined; cause?: unknown } = {}) {
    super(message, { cause: options.cause })
    this.afterSeconds = options.afterSeconds
  }
}

export type GuardOptions = { perSecond: number; atOnce: number; breakAfter: number; halfOpenAfterMs: number }

/** Runs `send` as the provider can bear it, unless its turn comes after `startBy` of `performance.now()`; never throws. */
export type Guard = (startBy: number, send: () => Promise<Outcome>) => Promise<Outcome>

/** Nothing was tried: whoever takes it next sends it. */
const tooLate: Outcome = { state: 'retry', error: 'its turn came too late', afterSeconds: 0, counts: false }

/** How long a delivery waits that found the circuit open. */
const CIRCUIT_OPEN_SECONDS = 15

/**
 * Keeps a provider from being flooded, and us from waiting for one that is down: so many a second, so many at once, and
 * after some failures in a row none for a while, then a single one to see.
 */
export function createGuard({ perSecond, atOnce, breakAfter, halfOpenAfterMs }: GuardOptions): Guard {
  const rate = new RateLimiterQueue(new RateLimiterMemory({ points: perSecond, duration: 1 }))
  const breaker = circuitBreaker(handleAll, {
    halfOpenAfter: halfOpenAfterMs,
    breaker: new ConsecutiveBreaker(breakAfter),
  })
  const policy = wrap(bulkhead(atOnce, Number.POSITIVE_INFINITY), breaker)
  return async (startBy, send) => {
    try {
      return await policy.execute(async () => {
        await rate.removeTokens(1)
        return performance.now() < startBy ? send() : tooLate
      })
    } catch (error) {
      return outcomeOf(error)
    }
  }
}

function outcomeOf(error: unknown): Outcome {
  if (error instanceof BrokenCircuitError || error instanceof BulkheadRejectedError)
    return {
      state: 'retry',
      error: 'the provider fails at the moment',
      afterSeconds: CIRCUIT_OPEN_SECONDS,
      counts: false,
    }
  const message = messageOf(error)
  const afterSeconds = error instanceof ProviderTrouble ? (error.afterSeconds ?? 0) : 0
  return { state: 'retry', error: message, afterSeconds, counts: true }
}
