/** An answer of the server that is not 2xx: problem+json of RFC 9457. */
export class RavenpostError extends Error {
  override name = 'RavenpostError'
  readonly status: number
  /** Stable, such as NOTIFICATION_NOT_FOUND. */
  readonly code: string
  /** Seconds, of a 429 or 503. */
  readonly retryAfter: number | undefined

  constructor(status: number, code: string, message: string, retryAfter?: number) {
    super(message)
    this.status = status
    this.code = code
    this.retryAfter = retryAfter
  }
}

/** Thrown by `getToken` when nobody is signed in any more: the client ends, and forgets what it stored. */
export class SignedOut extends Error {
  override name = 'SignedOut'
}
