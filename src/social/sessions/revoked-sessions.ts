import type pg from 'pg'
import type { App } from '../../app.ts'

const SECOND = 1000
/** Interval between reads, and so the maximum time for which another process accepts the token of a revoked session. */
export const LOOK_EVERY_MS = SECOND
/** Maximum time between the start of a revoking transaction, which dates the revocation, and its commit. */
const COMMITTED_WITHIN = 60 * SECOND

/** Refuses the session's tokens from now on, and closes its sockets. Call it after the commit. */
export function endSession({ revokedSessions, wakeUps }: App, sessionId: string): void {
  revokedSessions.add(sessionId)
  wakeUps.sessionRevoked(sessionId)
}

/**
 * Revoked sessions whose access tokens may still be valid. Requests with them are refused: here at once, in other
 * processes within a second. This short list costs requests nothing; checking each session would cost every request a
 * query.
 */
export class RevokedSessions {
  /** Expiry of the session's last access token, by session id, in the time of the clock that sets `iat`. */
  readonly #until = new Map<string, number>()
  readonly #tokenLifeMs: number
  #lookedAt = Number.NEGATIVE_INFINITY
  /** The highest time of that clock. If the clock is set back, older tokens are valid for longer. */
  #latest = 0

  constructor(accessTokenTtl: number) {
    this.#tokenLifeMs = accessTokenTtl * SECOND
  }

  has(sessionId: string): boolean {
    return this.#until.has(sessionId)
  }

  add(sessionId: string): void {
    if (!this.has(sessionId)) this.#until.set(sessionId, this.#highest() + this.#tokenLifeMs)
  }

  /** Reads revocations since the last read. After a long pause, reads back as far as a token's lifetime. */
  async look(pool: pg.Pool): Promise<void> {
    const now = performance.now()
    const back = Math.min(now - this.#lookedAt, this.#tokenLifeMs) + COMMITTED_WITHIN
    const { rows } = await pool.query<{ id: string }>({
      name: 'revoked_sessions',
      text: 'select id from social.sessions where revoked_at > now() - make_interval(secs => $1::float8)',
      values: [back / SECOND],
    })
    this.#highest()
    for (const { id } of rows) this.add(id)
    this.#lookedAt = now
    // Ordered by age, so the search ends at the first entry that still counts.
    for (const [id, until] of this.#until) {
      if (until > Date.now()) break
      this.#until.delete(id)
    }
  }

  #highest(): number {
    this.#latest = Math.max(this.#latest, Date.now())
    return this.#latest
  }
}
