import type { App } from '../../app.ts'
import type { Hub } from './hub.ts'
import { Paced } from './paced.ts'
import { closeEnded } from './sweep.ts'

/** Between two looks, however many hints come. */
const BETWEEN_MS = 100
/** Beyond so many sessions in one look, every session here is looked at, as the sweep does. */
const MOST = 1000

/**
 * Sessions that hints name as ended. Anybody who may connect to the database can send such a hint, so it is a question: the
 * sessions that are connected here are looked up, many in one statement, and only those that have ended are closed.
 */
export class DoubtedSessions {
  readonly #app: App
  readonly #hub: Hub
  readonly #looks = new Paced(BETWEEN_MS, () => this.#look())
  #ids = new Set<string>()

  constructor(app: App, hub: Hub) {
    this.#app = app
    this.#hub = hub
  }

  doubt(sessionId: string): void {
    if (this.#ids.size < MOST) this.#ids.add(sessionId)
    this.#looks.ask()
  }

  close(): Promise<void> {
    return this.#looks.close()
  }

  async #look(): Promise<void> {
    const ids = this.#ids
    this.#ids = new Set()
    const sessions = this.#hub.sessions()
    const doubted = sessions.filter(({ identity }) => identity && (ids.size === MOST || ids.has(identity.sessionId)))
    await closeEnded(this.#app.pool, doubted).catch((err) =>
      this.#app.log.warn({ err }, 'sessions that may have ended could not be looked up; the sweep will'),
    )
  }
}
