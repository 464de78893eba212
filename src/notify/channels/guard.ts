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
import { backoff } from '../../base/failure.ts'
import { messageOf } from '../../errors.ts'
import type { Outcome } from './deliveries.ts'

/**
 * A temporary failure of the provider: the delivery is retried. `afterSeconds`: the delay that the provider requested.
 */
export class ProviderTrouble extends Error {
  readonly afterSeconds: number | undefined

  constructor(message: string, options: { afterSeconds?: number | undefined; cause?: unknown } = {}) {
    super(message, { cause: options.cause })
    this.afterSeconds = options.afterSeconds
  }
}

export type GuardOptions = {
  perSecond: number
  atOnce: number
  breakAfter: number
  halfOpenAfterMs: number
  /** Names the breaker in `guards`. */
  name?: string
}

/**
 * `leaseEndsAt`: when another process may send the message, by `performance.now()`. `timeoutMs`: timeout of the
 * provider.
 */
export type Turn = { leaseEndsAt: number; timeoutMs: number }

/** Runs `send` within the provider's limits, unless too little time is left when its turn comes. Never throws. */
export type Guard = {
  (turn: Turn, send: () => Promise<Outcome>): Promise<Outcome>
  /** Seconds for which nothing will be tried. */
  closedSeconds(): number
}

/** Wraps an outcome that does not prove that the provider works. */
class Unproven extends Error {
  readonly outcome: Outcome

  constructor(outcome: Outcome) {
    super()
    this.outcome = outcome
  }
}

/** Wraps an outcome without an attempt. The next process that takes the message sends it. */
class NotTried extends Unproven {
  constructor() {
    super({ state: 'retry', error: 'its turn came too late', afterSeconds: 0, counts: false })
  }
}

/** The named guards of this process, for operators. A guard that was replaced, or is the oldest of many, is not in it. */
export const guards = new Map<string, Guard>()
const GUARDS_NAMED = 1000

/** A provider that stays down is tried every five minutes. */
const LONGEST_OPEN_MS = 300_000
/** Minimum delay of a delivery that found the circuit open. */
const SHORTEST_WAIT_SECONDS = 5

export const PROVIDER_FAILS = 'the provider fails at the moment'

/**
 * Limits the rate and concurrency of requests to a provider. After several consecutive failures it sends nothing for a while,
 * then tries one message. If that fails, the pause doubles.
 */
export function createGuard({ perSecond, atOnce, breakAfter, halfOpenAfterMs, name }: GuardOptions): Guard {
  const rate = new RateLimiterQueue(new RateLimiterMemory({ points: perSecond, duration: 1 }))
  // A message that was not tried is no failure. Only in the half-open circuit it counts as one, because otherwise it would
  // count as a success and close the circuit.
  const isFailure = (error: unknown) => !(error instanceof NotTried) || breaker.state === CircuitState.HalfOpen
  let closedUntil = 0
  const closedSeconds = () => Math.max(0, closedUntil - performance.now()) / 1000
  const breaker = circuitBreaker(handleWhen(isFailure), {
    halfOpenAfter: new DelegateBackoff(({ attempt }) => {
      const ms = backoff({ first: halfOpenAfterMs, longest: LONGEST_OPEN_MS }, attempt - 1)
      closedUntil = performance.now() + ms
      // cockatiel uses a clock that can be set back. `turns` below uses one that cannot.
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
  const made = Object.assign(guard, { closedSeconds })
  if (name !== undefined) remember(name, made)
  return made
}

function remember(name: string, guard: Guard): void {
  guards.delete(name)
  guards.set(name, guard)
  const [oldest = ''] = guards.keys()
  if (guards.size > GUARDS_NAMED) guards.delete(oldest)
}

/**
 * A late answer still decides the outcome of the delivery. For the circuit it counts as a failure, because other messages
 * would wait for so slow a provider.
 */
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
