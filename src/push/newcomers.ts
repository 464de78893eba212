import type { IncomingMessage } from 'node:http'
import type { App } from '../app.ts'
import { scaledLimit } from '../config.ts'
import { type AppError, fail } from '../errors.ts'
import { addressFinder } from '../http/client-address.ts'
import { networkOf } from '../http/rate-limits.ts'
import { Budgets } from './connections/budget.ts'
import type { Limits } from './limits.ts'

/**
 * Limits sockets without a verified user, per network and in this process. An upgrade spends from the network's budget.
 * A valid hello refunds it, because its user's budget pays instead.
 */
export class Newcomers {
  readonly #log: App['log']
  readonly #addressOf: (request: IncomingMessage) => string
  readonly #budgets: Budgets
  /** Networks refused in the current period, so that each is logged once. */
  readonly #logged: Budgets

  constructor({ log, config }: App, { upgradeBudget, upgradePeriodMs }: Limits) {
    this.#log = log
    this.#addressOf = addressFinder(config.trustedProxies)
    this.#budgets = new Budgets(scaledLimit(config, upgradeBudget), upgradePeriodMs)
    this.#logged = new Budgets(1, upgradePeriodMs)
  }

  /** The network of a request, as for REST. */
  networkOf(request: IncomingMessage): string {
    return networkOf(this.#addressOf(request))
  }

  /** The reason to refuse another upgrade from this network, or null. */
  refusal(network: string): AppError | null {
    const budget = this.#budgets.of(network)
    if (budget.spend(1)) return null
    if (this.#logged.of(network).spend(1))
      this.#log.warn({ network }, 'too many upgrades without a valid hello; refusing more')
    return fail('RATE_LIMITED', 'Too many upgrades without a valid hello', { retryAfter: budget.leftMs / 1000 })
  }

  /** Refunds an upgrade after a valid hello. */
  proved(network: string): void {
    this.#budgets.of(network).refund(1)
  }
}
