const SECOND = 1000

/**
 * Client timeouts in milliseconds. Fastify disables Node's defaults unless these are set, and a few thousand
 * connections that send a byte a minute could use up all file descriptors.
 */
export const timeouts = {
  /** Timeout until all headers have arrived. */
  headers: 10 * SECOND,
  /** Timeout until the whole body has arrived, such as a large upload on a slow line. */
  request: 300 * SECOND,
  /** Timeout of a connection without traffic in either direction. Websockets use heartbeats instead. */
  idle: 60 * SECOND,
  /**
   * Timeout between two requests of a connection. Longer than the 60 s after which load balancers drop idle
   * connections.
   */
  keepAlive: 72 * SECOND,
  /** How often `headers` and `request` are checked. */
  check: 5 * SECOND,
}
export type Timeouts = typeof timeouts

/** The same as Node's default, but set explicitly. */
export const MAX_HEADER_BYTES = 16 * 1024
