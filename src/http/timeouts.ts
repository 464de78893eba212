const SECOND = 1000

/**
 * Client timeouts in milliseconds. Fastify disables Node's defaults unless these are set, and a few thousand
 * connections that send a byte a minute could use up all file descriptors.
 */
export const timeouts = {
  /** For all headers. */
  headers: 10 * SECOND,
  /** For the whole body, such as a large upload on a slow line. */
  request: 300 * SECOND,
  /** Without traffic in either direction. Websockets use heartbeats instead. */
  idle: 60 * SECOND,
  /** Between two requests. Longer than the 60 s after which load balancers drop idle connections. */
  keepAlive: 72 * SECOND,
  /** How often the first two timeouts are checked. */
  check: 5 * SECOND,
}
export type Timeouts = typeof timeouts

/** Equals Node's default, set explicitly. */
export const MAX_HEADER_BYTES = 16 * 1024
