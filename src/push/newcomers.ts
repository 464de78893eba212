import type { IncomingMessage } from 'node:http'
import type { App } from '../app.ts'
import { type AppError, fail } from '../errors.ts'
import { addressFinder } from '../http/client-address.ts'
import { networkOf } from '../http/rate-limits.ts'
import { Budgets } from './connections/budget.ts'
import type { Limits } from './limits.ts'

/**
 * Limits sockets of which nobody knows yet whose they are, by network and in this process: an upgrade is taken from the
 * network's budget, and given back when a good hello follows, which its user pays for.
 */
export class Newcomers {
  readonly #log: App['log']
  readonly #addressOf: (request: IncomingMessage) => string
  readonly #budgets: Budgets
  /** Refused in the present window; kept for the log's one line in each. */
  readonly #told: Budgets

  constructor({ log, config }: App, { upgradeBudget, upgradeWindowMs }: Limits) {
    this.#log = log
    this.#addressOf = addressFinder(config.trustedProxies)
    this.#budgets = new Budgets(Math.max(1, Math.round(upgradeBudget * config.rateLimitScale)), upgradeWindowMs)
    this.#told = new Budgets(1, upgradeWindowMs)
  }

  /** The network of a request, as for REST. */
  networkOf(request: IncomingMessage): string {
    return networkOf(this.#addressOf(request))
  }

  /** Why one more upgrade of this network is refused; null when it is not. */
  refusal(network: string): AppError | null {
    const budget = this.#budgets.of(network)
    if (budget.spend(1)) return null
    if (this.#told.of(network).spend(1)) this.#log.warn({ network }, 'too many upgrades without a good hello; refused')
    return fail('RATE_LIMITED', 'Too many upgrades that no hello followed', { retryAfter: budget.leftMs / 1000 })
  }

  /** A good hello has followed. */
  proved(network: string): void {
    this.#budgets.of(network).refund(1)
  }
}
