import type { App } from '../../app.ts'
import { Pulse } from '../../base/pulse.ts'
import type { Hub } from './hub.ts'
import { closeEnded } from './sweep.ts'

/** Minimum time between two checks, for any number of hints. */
const BETWEEN_MS = 100
/** Number of session ids from which on a check covers all sessions of this node, as the sweep does. */
const MOST = 1000

/**
 * Checks sessions that hints name as ended. Anyone who can connect to the database can send such a hint, so a hint is
 * only a reason to check. One statement looks up many of the sessions connected here; only those that have ended are
 * closed.
 */
export class DoubtedSessions {
  readonly #app: App
  readonly #hub: Hub
  readonly #looks = new Pulse(() => this.#look(), { betweenMs: BETWEEN_MS })
  #ids = new Set<string>()

  constructor(app: App, hub: Hub) {
    this.#app = app
    this.#hub = hub
  }

  doubt(sessionId: string): void {
    if (this.#ids.size < MOST) this.#ids.add(sessionId)
    this.#looks.request()
  }

  close(): Promise<void> {
    return this.#looks.close()
  }

  async #look(): Promise<void> {
    const ids = this.#ids
    this.#ids = new Set()
    const connections = this.#hub.connections()
    const doubted = connections.filter(({ identity }) => identity && (ids.size === MOST || ids.has(identity.sessionId)))
    await closeEnded(this.#app.pool, doubted).catch((err) =>
      this.#app.log.warn({ err }, 'cannot look up sessions that may have ended; the sweep retries'),
    )
  }
}
