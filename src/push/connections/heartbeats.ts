import type { Session } from './session.ts'

/** The timer runs this often per beat, so a beat comes late by 4 % at most. */
const TURNS_PER_BEAT = 25

/**
 * Lets every socket beat once per `everyMs`, with one timer for all. Whoever has beaten goes to the end of the line, so a
 * turn looks at those who are due and no others.
 */
export class Heartbeats {
  readonly #everyMs: number
  readonly #due = new Map<Session, number>()
  readonly #timer: NodeJS.Timeout

  constructor(everyMs: number) {
    this.#everyMs = everyMs
    this.#timer = setInterval(() => this.#turn(), everyMs / TURNS_PER_BEAT)
  }

  /** The first beat comes after `everyMs`. */
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
