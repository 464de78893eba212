/** Every coded error an answer can carry: its HTTP status and its title. Detail says what to do next. */
export const codes = {
  // Requests
  VALIDATION_FAILED: [400, 'The request does not fit the contract'],
  BAD_HTTP: [400, 'The request is not well-formed HTTP'],
  BAD_JSON: [400, 'The body is not JSON'],
  BAD_CURSOR: [400, 'The cursor is not one of ours'],
  BAD_STATE: [400, 'The state is not one of this inbox'],
  IDEMPOTENCY_KEY_REQUIRED: [400, 'An Idempotency-Key is needed'],
  IDEMPOTENCY_KEY_REUSED: [422, 'The Idempotency-Key was used for another request'],
  IDEMPOTENCY_KEY_BUSY: [409, 'A request with this Idempotency-Key is under way'],
  REQUEST_TOO_SLOW: [408, 'The request did not arrive in time'],
  HEADERS_TOO_LARGE: [431, 'The headers are too large'],
  BODY_TOO_LARGE: [413, 'The body is too large'],
  UNSUPPORTED_MEDIA_TYPE: [415, 'The body is not of the type that this call takes'],
  ROUTE_NOT_FOUND: [404, 'There is no such route'],
  // Upgrades to a websocket
  ORIGIN_NOT_ALLOWED: [403, 'Pages of this origin may not connect'],
  UPGRADE_REQUIRED: [426, 'This address is a websocket'],
  SUBPROTOCOL_NEEDED: [400, 'The websocket has to speak our subprotocol'],
  // Accounts
  UNAUTHENTICATED: [401, 'A valid access token is needed'],
  SESSION_ENDED: [401, 'The session was ended'],
  USER_NOT_PROVISIONED: [403, 'The user of the token does not exist here'],
  IDENTITY_PROVIDER_UNAVAILABLE: [503, 'The identity provider cannot be reached'],
  FORBIDDEN: [403, 'This needs another role'],
  BAD_CREDENTIALS: [401, 'Name or password is wrong'],
  BAD_REFRESH_TOKEN: [401, 'The refresh token is not valid'],
  NO_REFRESH_TOKEN: [401, 'A refresh token is needed'],
  REFRESH_TOKEN_REUSED: [401, 'The refresh token was used before'],
  USERNAME_TAKEN: [409, 'The username is taken'],
  EMAIL_TAKEN: [409, 'The email address is taken'],
  WRONG_PASSWORD: [403, 'The current password is wrong'],
  PASSWORD_TOO_COMMON: [400, 'The password is too common'],
  PASSWORD_UNCHANGED: [400, 'The new password is the current one'],
  PASSWORD_CHANGE_REQUIRED: [403, 'The first password must be changed'],
  SESSION_NOT_FOUND: [404, 'The session does not exist'],
  // Users
  USER_NOT_FOUND: [404, 'The user does not exist'],
  NOT_YOURSELF: [403, 'Only the user may do this'],
  CANNOT_FOLLOW_SELF: [422, 'Nobody can follow themselves'],
  CANNOT_RING_FOR_SELF: [422, 'Nobody can switch the bell on for themselves'],
  CANNOT_SILENCE_SELF: [422, 'Nobody can block or mute themselves'],
  // Posts and comments
  POST_NOT_FOUND: [404, 'The post does not exist'],
  COMMENT_NOT_FOUND: [404, 'The comment does not exist'],
  NOT_AUTHOR: [403, 'Only the author may do this'],
  MEDIA_NOT_FOUND: [404, 'The media does not exist'],
  MEDIA_NOT_USABLE: [422, 'The media is not one of yours, or in use'],
  MEDIA_TOO_LARGE: [413, 'The file is too large'],
  MEDIA_QUOTA_EXCEEDED: [413, 'No room is left for this user'],
  MEDIA_STORAGE_FULL: [507, 'No room is left for media on this server'],
  TOO_MANY_UPLOADS: [429, 'Too many uploads at a time'],
  MEDIA_TYPE_NOT_ALLOWED: [415, 'The file is no image, audio or video of a type that is taken'],
  RANGE_NOT_SATISFIABLE: [416, 'The file has no such part'],
  // Notifications
  NOTIFICATION_NOT_FOUND: [404, 'The notification does not exist'],
  STATE_TOO_OLD: [410, 'The state is too old to go on from'],
  SEND_NOT_FOUND: [404, 'The send does not exist'],
  SERVICE_TOKEN_NOT_FOUND: [404, 'The service token does not exist'],
  BAD_TIME_ZONE: [400, 'There is no such time zone'],
  NOTIFICATION_TYPE_NOT_FOUND: [404, 'The type of notification does not exist'],
  BAD_TEMPLATE: [422, 'A template cannot be used'],
  INBOX_BUSY: [503, 'The inbox is being changed'],
  // Channels
  PUSH_NOT_CONFIGURED: [404, 'This server sends no Web Push'],
  BAD_ENDPOINT: [422, 'The endpoint is not one of a push service'],
  BAD_TOKEN: [400, 'The link is not valid, or not any more'],
  SUBSCRIPTION_NOT_FOUND: [404, 'The subscription does not exist'],
  // Operation
  DEAD_LETTER_NOT_FOUND: [404, 'The dead letter does not exist'],
  RATE_LIMITED: [429, 'Too many requests'],
  BUSY: [503, 'Too much to do right now'],
  INTERNAL: [500, 'Something went wrong on our side'],
} as const satisfies Record<string, readonly [status: number, title: string]>

export type Code = keyof typeof codes

type Options = { retryAfter?: number; pointer?: string; cause?: unknown }

/** An error that is answered as problem+json; everything else becomes `INTERNAL`. */
export class AppError extends Error {
  readonly code: Code
  readonly status: number
  readonly title: string
  readonly detail: string | undefined
  /** Seconds, sent as `Retry-After`. */
  readonly retryAfter: number | undefined
  /** Where in the request the fault is (JSON Pointer, RFC 6901), of VALIDATION_FAILED; empty for the whole. */
  readonly pointer: string

  constructor(code: Code, detail?: string, options: Options = {}) {
    const [status, title] = codes[code]
    super(detail ?? title, { cause: options.cause })
    this.code = code
    this.status = status
    this.title = title
    this.detail = detail
    this.retryAfter = options.retryAfter
    this.pointer = options.pointer ?? ''
  }
}

/** `throw fail('POST_NOT_FOUND')` */
export function fail(code: Code, detail?: string, options: Options = {}): AppError {
  return new AppError(code, detail, options)
}

/** What was thrown, in words. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
