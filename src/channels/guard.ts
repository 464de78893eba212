import {
  BrokenCircuitError,
  BulkheadRejectedError,
  bulkhead,
  CircuitState,
  ConsecutiveBreaker,
  circuitBreaker,
  handleWhen,
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

/** When, by `performance.now()`, somebody else may send it, and how long the provider may take. */
export type Turn = { leaseEndsAt: number; timeoutMs: number }

/** Runs `send` as the provider can bear it, unless there is not enough time left when its turn comes; never throws. */
export type Guard = (turn: Turn, send: () => Promise<Outcome>) => Promise<Outcome>

/** Ends with this outcome, which speaks for no working provider. */
class Unproven extends Error {
  readonly outcome: Outcome

  constructor(outcome: Outcome) {
    super()
    this.outcome = outcome
  }
}

/** Nothing was tried: whoever takes it next sends it. */
class NotTried extends Unproven {
  constructor() {
    super({ state: 'retry', error: 'its turn came too late', afterSeconds: 0, counts: false })
  }
}

/** How long a delivery waits that found the circuit open. */
const CIRCUIT_OPEN_SECONDS = 15

/**
 * Keeps a provider from being flooded, and us from waiting for one that is down: so many a second, so many at once, and
 * after some failures in a row none for a while, then a single one to see.
 */
export function createGuard({ perSecond, atOnce, breakAfter, halfOpenAfterMs }: GuardOptions): Guard {
  const rate = new RateLimiterQueue(new RateLimiterMemory({ points: perSecond, duration: 1 }))
  // What is not tried says nothing while the circuit is closed, and does not close one that waits for the answer to a single try.
  const isFailure = (error: unknown) => !(error instanceof NotTried) || breaker.state === CircuitState.HalfOpen
  const breaker = circuitBreaker(handleWhen(isFailure), {
    halfOpenAfter: halfOpenAfterMs,
    breaker: new ConsecutiveBreaker(breakAfter),
  })
  const policy = wrap(bulkhead(atOnce, Number.POSITIVE_INFINITY), breaker)
  return async (turn, send) => {
    try {
      return await policy.execute(async () => {
        await rate.removeTokens(1)
        return inTime(turn, send)
      })
    } catch (error) {
      if (error instanceof Unproven) return error.outcome
      return outcomeOf(error)
    }
  }
}

/** An answer that comes late is what became of the delivery, and the failure of a provider that others would wait for. */
async function inTime({ leaseEndsAt, timeoutMs }: Turn, send: () => Promise<Outcome>): Promise<Outcome> {
  const answerBy = performance.now() + timeoutMs
  if (answerBy >= leaseEndsAt) throw new NotTried()
  const outcome = await send()
  if (performance.now() >= answerBy) throw new Unproven(outcome)
  return outcome
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
