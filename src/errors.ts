/** Every error code of the API, with its HTTP status and title. The detail of an error contains what to do next. */
export const codes = {
  // Requests
  VALIDATION_FAILED: [400, 'The request is not valid'],
  BAD_HTTP: [400, 'The request is not well-formed HTTP'],
  BAD_JSON: [400, 'The body is not JSON'],
  BAD_CURSOR: [400, 'The cursor is not valid for this list'],
  BAD_STATE: [400, 'The state does not belong to this inbox'],
  IDEMPOTENCY_KEY_REQUIRED: [400, 'An Idempotency-Key header is required'],
  IDEMPOTENCY_KEY_REUSED: [422, 'The Idempotency-Key was used for another request'],
  IDEMPOTENCY_KEY_BUSY: [409, 'A request with this Idempotency-Key is still in progress'],
  REQUEST_TOO_SLOW: [408, 'The request did not arrive in time'],
  HEADERS_TOO_LARGE: [431, 'The headers are too large'],
  BODY_TOO_LARGE: [413, 'The body is too large'],
  UNSUPPORTED_MEDIA_TYPE: [415, 'The content type of the body is not supported'],
  ROUTE_NOT_FOUND: [404, 'The route does not exist'],
  // Upgrades to a websocket
  ORIGIN_NOT_ALLOWED: [403, 'The origin is not allowed'],
  UPGRADE_REQUIRED: [426, 'This endpoint requires a websocket upgrade'],
  SUBPROTOCOL_NEEDED: [400, 'The subprotocol ravenpost.v1 is required'],
  // Accounts
  UNAUTHENTICATED: [401, 'A valid access token is required'],
  SESSION_ENDED: [401, 'The session has ended'],
  USER_NOT_PROVISIONED: [403, 'The user of the token does not exist here'],
  IDENTITY_PROVIDER_UNAVAILABLE: [503, 'The identity provider cannot be reached'],
  FORBIDDEN: [403, 'Insufficient permissions'],
  BAD_CREDENTIALS: [401, 'Name or password is wrong'],
  BAD_REFRESH_TOKEN: [401, 'The refresh token is not valid'],
  NO_REFRESH_TOKEN: [401, 'A refresh token is required'],
  REFRESH_TOKEN_REUSED: [401, 'The refresh token was used before'],
  USERNAME_TAKEN: [409, 'The username is taken'],
  EMAIL_TAKEN: [409, 'The email address is taken'],
  WRONG_PASSWORD: [403, 'The current password is wrong'],
  REAUTHENTICATION_REQUIRED: [403, 'The password is required, because the sign-in is not recent'],
  PASSWORD_TOO_COMMON: [400, 'The password is too common'],
  PASSWORD_UNCHANGED: [400, 'The new password is the current one'],
  PASSWORD_CHANGE_REQUIRED: [403, 'The first password must be changed'],
  CANNOT_CHANGE_OWN_ROLE: [422, 'You cannot change your own role'],
  SESSION_NOT_FOUND: [404, 'The session does not exist'],
  // Users
  USER_NOT_FOUND: [404, 'The user does not exist'],
  NOT_YOURSELF: [403, 'Only the user may do this'],
  CANNOT_FOLLOW_SELF: [422, 'You cannot follow yourself'],
  CANNOT_RING_FOR_SELF: [422, 'You cannot subscribe to yourself'],
  CANNOT_SILENCE_SELF: [422, 'You cannot block or mute yourself'],
  // Posts and comments
  POST_NOT_FOUND: [404, 'The post does not exist'],
  COMMENT_NOT_FOUND: [404, 'The comment does not exist'],
  NOT_AUTHOR: [403, 'Only the author may do this'],
  MEDIA_NOT_FOUND: [404, 'The media file does not exist'],
  MEDIA_NOT_USABLE: [422, 'The media file does not exist, is not yours, or is in use'],
  MEDIA_TOO_LARGE: [413, 'The file is too large'],
  MEDIA_QUOTA_EXCEEDED: [413, 'Media quota exceeded'],
  MEDIA_STORAGE_FULL: [507, 'The media storage of this server is full'],
  TOO_MANY_UPLOADS: [429, 'Too many concurrent uploads'],
  MEDIA_TYPE_NOT_ALLOWED: [415, 'The file type is not supported'],
  RANGE_NOT_SATISFIABLE: [416, 'The requested range is not satisfiable'],
  // Notifications
  NOTIFICATION_NOT_FOUND: [404, 'The notification does not exist'],
  STATE_TOO_OLD: [410, 'The state is too old to resume from'],
  SEND_NOT_FOUND: [404, 'The send does not exist'],
  SERVICE_TOKEN_NOT_FOUND: [404, 'The service token does not exist'],
  BAD_TIME_ZONE: [400, 'The time zone is unknown'],
  NOTIFICATION_TYPE_NOT_FOUND: [404, 'The notification type does not exist'],
  TEMPLATE_NOT_FOUND: [404, 'The template does not exist'],
  BROADCAST_NOT_FOUND: [404, 'The broadcast does not exist'],
  BROADCAST_STATE: [409, 'The broadcast is in another state'],
  SEGMENT_NOT_FOUND: [404, 'The segment does not exist'],
  BAD_SEGMENT: [422, 'The segment is not valid'],
  NAME_TAKEN: [409, 'The name is taken'],
  BAD_TEMPLATE: [422, 'A template is not valid'],
  INBOX_BUSY: [503, 'The inbox is busy'],
  // Channels
  PUSH_NOT_CONFIGURED: [404, 'Web Push is not configured on this server'],
  BAD_ENDPOINT: [422, 'The endpoint does not belong to a known push service'],
  BAD_TOKEN: [400, 'The link is invalid or has expired'],
  SUBSCRIPTION_NOT_FOUND: [404, 'The subscription does not exist'],
  // Webhooks
  WEBHOOK_NOT_FOUND: [404, 'Webhook not found'],
  WEBHOOK_DELIVERY_NOT_FOUND: [404, 'Webhook delivery not found'],
  WEBHOOK_DISABLED: [409, 'The webhook is disabled'],
  WEBHOOK_URL_REFUSED: [422, 'Webhooks cannot be sent to this URL'],
  TOO_MANY_WEBHOOKS: [422, 'There are too many webhooks'],
  // Operation
  DEAD_LETTER_NOT_FOUND: [404, 'The dead letter does not exist'],
  SQL_NOT_FOUND: [404, 'The console has no statement of this name'],
  TABLE_NOT_FOUND: [404, 'The table does not exist'],
  COLUMN_NOT_SEARCHABLE: [422, 'The column cannot be searched'],
  BAD_PARAMETER: [422, 'A parameter does not fit the statement'],
  READ_TOO_SLOW: [503, 'The read took too long'],
  CONSOLE_ROLE_MISSING: [503, 'The server may not read as ravenpost_readonly'],
  RATE_LIMITED: [429, 'Too many requests'],
  BUSY: [503, 'The server is overloaded'],
  INTERNAL: [500, 'Internal server error'],
} as const satisfies Record<string, readonly [status: number, title: string]>

export type Code = keyof typeof codes

type Options = { retryAfter?: number; pointer?: string; cause?: unknown }

/** An error that is answered as problem+json; everything else becomes `INTERNAL`. */
export class AppError extends Error {
  readonly code: Code
  readonly status: number
  readonly title: string
  /** What to do next; the title if there is nothing to add. */
  readonly detail: string
  /** Seconds to wait, sent as `Retry-After`. With 503, one second unless specified. */
  readonly retryAfter: number | undefined
  /**
   * For VALIDATION_FAILED: the place of the fault in the request (JSON Pointer, RFC 6901); empty for the whole body.
   */
  readonly pointer: string

  constructor(code: Code, detail?: string, options: Options = {}) {
    const [status, title] = codes[code]
    super(detail ?? title, { cause: options.cause })
    this.code = code
    this.status = status
    this.title = title
    this.detail = this.message
    this.retryAfter = options.retryAfter ?? (status === 503 ? 1 : undefined)
    this.pointer = options.pointer ?? ''
  }
}

/** Creates an error to throw: `throw fail('POST_NOT_FOUND')`. */
export function fail(code: Code, detail?: string, options: Options = {}): AppError {
  return new AppError(code, detail, options)
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
