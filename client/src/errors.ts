/** `pointer`: JSON pointer into the request body. */
type Fault = { pointer: string; message: string }

/** Error for a response that is not 2xx. Its fields come from problem+json (RFC 9457). */
export class RavenpostError extends Error {
  override name = 'RavenpostError'
  readonly status: number
  /** Stable code, for example NOTIFICATION_NOT_FOUND. */
  readonly code: string
  /** Seconds to wait, with status 429 or 503. */
  readonly retryAfter: number | undefined
  /** The parts of the request that are invalid. */
  readonly errors: readonly Fault[]

  constructor(status: number, code: string, message: string, retryAfter?: number, errors: readonly Fault[] = []) {
    super(message)
    this.errors = errors
    this.status = status
    this.code = code
    this.retryAfter = retryAfter
  }
}

/** Error that `getToken` throws when the user is signed out. The client ends and deletes what it stored. */
export class SignedOut extends Error {
  override name = 'SignedOut'
}
