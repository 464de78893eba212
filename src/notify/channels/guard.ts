import {
  BrokenCircuitError,
  BulkheadRejectedError,
  bulkhead,
  CircuitState,
  ConsecutiveBreaker,
  circuitBreaker,
  DelegateBackoff,
  handleWhen,
} from 'cockatiel'
import { RateLimiterMemory, RateLimiterQueue } from 'rate-limiter-flexible'
import { messageOf } from '../../errors.ts'
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
export type Guard = {
  (turn: Turn, send: () => Promise<Outcome>): Promise<Outcome>
  /** For how long nothing is tried. */
  closedSeconds(): number
}

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

/** A provider that stays down is tried every five minutes. */
const LONGEST_OPEN_MS = 300_000
/** How long a delivery waits at least that found the circuit open. */
const SHORTEST_WAIT_SECONDS = 5

export const PROVIDER_FAILS = 'the provider fails at the moment'

/**
 * Keeps a provider from being flooded, and us from waiting for one that is down: so many a second, so many at once, and
 * after some failures in a row none for a while, then a single one to see; when that fails, none for twice as long.
 */
export function createGuard({ perSecond, atOnce, breakAfter, halfOpenAfterMs }: GuardOptions): Guard {
  const rate = new RateLimiterQueue(new RateLimiterMemory({ points: perSecond, duration: 1 }))
  // What is not tried says nothing while the circuit is closed, and does not close one that waits for the answer to a single try.
  const isFailure = (error: unknown) => !(error instanceof NotTried) || breaker.state === CircuitState.HalfOpen
  let closedUntil = 0
  const closedSeconds = () => Math.max(0, closedUntil - performance.now()) / 1000
  const breaker = circuitBreaker(handleWhen(isFailure), {
    halfOpenAfter: new DelegateBackoff(({ attempt }) => {
      const ms = Math.min(halfOpenAfterMs * 2 ** (attempt - 1), LONGEST_OPEN_MS)
      closedUntil = performance.now() + ms
      // cockatiel would wait by a clock that can be set back; `turns` below asks one that cannot.
      return Number.NEGATIVE_INFINITY
    }),
    breaker: new ConsecutiveBreaker(breakAfter),
  })
  const turns = bulkhead(atOnce, Number.POSITIVE_INFINITY)
  const guard = async (turn: Turn, send: () => Promise<Outcome>): Promise<Outcome> => {
    try {
      return await turns.execute(() => {
        if (closedSeconds() > 0) throw new BrokenCircuitError()
        return breaker.execute(async () => {
          await rate.removeTokens(1)
          return inTime(turn, send)
        })
      })
    } catch (error) {
      if (error instanceof Unproven) return error.outcome
      return outcomeOf(error, closedSeconds())
    }
  }
  return Object.assign(guard, { closedSeconds })
}

/** An answer that comes late is what became of the delivery, and the failure of a provider that others would wait for. */
async function inTime({ leaseEndsAt, timeoutMs }: Turn, send: () => Promise<Outcome>): Promise<Outcome> {
  const answerBy = performance.now() + timeoutMs
  if (answerBy >= leaseEndsAt) throw new NotTried()
  const outcome = await send()
  if (performance.now() >= answerBy) throw new Unproven(outcome)
  return outcome
}

function outcomeOf(error: unknown, closedSeconds: number): Outcome {
  if (error instanceof BrokenCircuitError || error instanceof BulkheadRejectedError) {
    const afterSeconds = Math.max(closedSeconds, SHORTEST_WAIT_SECONDS) * (1 + Math.random() / 2)
    return { state: 'retry', error: PROVIDER_FAILS, afterSeconds, counts: false }
  }
  const message = messageOf(error)
  const afterSeconds = error instanceof ProviderTrouble ? (error.afterSeconds ?? 0) : 0
  return { state: 'retry', error: message, afterSeconds, counts: true }
}
