import type pg from 'pg'
import type { App } from '../../app.ts'

const SECOND = 1000
/** Between two looks into the table: for how long another process may still accept a revoked session's token. */
export const LOOK_EVERY_MS = SECOND
/** A revocation is dated when its transaction begins and seen when it has committed, which takes less than this. */
const COMMITTED_WITHIN = 60 * SECOND

/** To be called after the commit: the session's tokens are refused from now on, and its sockets closed. */
export function endSession({ revokedSessions, wakeUps }: App, sessionId: string): void {
  revokedSessions.add(sessionId)
  wakeUps.sessionRevoked(sessionId)
}

/**
 * Sessions that were revoked while an access token of theirs may live, so that requests with it are refused: here at once, in
 * other processes within a second. A list of the few that ended costs requests nothing; asking for each session would
 * cost every request a query.
 */
export class RevokedSessions {
  /** By id: when the last access token of the session has run out, by the clock that tokens are dated with. */
  readonly #until = new Map<string, number>()
  readonly #tokenLifeMs: number
  #lookedAt = Number.NEGATIVE_INFINITY
  /** The highest that clock has shown: when it is set back, tokens of before live for longer. */
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

  /** Reads what was revoked since the last look; after a long silence as far back as a token lives. */
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
    // Oldest first: the first that still counts ends the search.
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
