import type { Session } from './session.ts'

/** Timer runs per heartbeat interval. A heartbeat is at most 4 % late. */
const TURNS_PER_BEAT = 25

/**
 * Sends one heartbeat per socket every `everyMs`, with a single timer. A socket moves to the end of the queue after its
 * heartbeat, so each run visits only sockets that are due.
 */
export class Heartbeats {
  readonly #everyMs: number
  readonly #due = new Map<Session, number>()
  readonly #timer: NodeJS.Timeout

  constructor(everyMs: number) {
    this.#everyMs = everyMs
    this.#timer = setInterval(() => this.#turn(), everyMs / TURNS_PER_BEAT)
  }

  /** The first heartbeat follows after `everyMs`. */
  add(session: Session): void {
    this.#due.set(session, performance.now() + this.#everyMs)
  }

  delete(session: Session): void {
    this.#due.delete(session)
  }

  close(): void {
    clearInterval(this.#timer)
  }

  #turn(): void {
    const now = performance.now()
    for (const [session, time] of this.#due) {
      if (time > now) return
      this.#due.delete(session)
      session.beat()
      if (session.open) this.add(session)
    }
  }
}
