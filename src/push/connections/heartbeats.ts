import type { Connection } from './connection.ts'

/** Timer runs per heartbeat interval. A heartbeat is at most 4 % late. */
const TURNS_PER_BEAT = 25

/**
 * Sends one heartbeat per socket every `everyMs`, with a single timer. A socket moves to the end of the queue after its
 * heartbeat, so each run visits only sockets that are due.
 */
export class Heartbeats {
  readonly #everyMs: number
  readonly #due = new Map<Connection, number>()
  readonly #timer: NodeJS.Timeout

  constructor(everyMs: number) {
    this.#everyMs = everyMs
    this.#timer = setInterval(() => this.#turn(), everyMs / TURNS_PER_BEAT)
  }

  /** The first heartbeat follows after `everyMs`. */
  add(connection: Connection): void {
    this.#due.set(connection, performance.now() + this.#everyMs)
  }

  delete(connection: Connection): void {
    this.#due.delete(connection)
  }

  close(): void {
    clearInterval(this.#timer)
  }

  #turn(): void {
    const now = performance.now()
    for (const [connection, time] of this.#due) {
      if (time > now) return
      this.#due.delete(connection)
      connection.beat()
      if (connection.open) this.add(connection)
    }
  }
}
