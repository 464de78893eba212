const SECOND = 1000

/**
 * How long a client may take, in milliseconds. Fastify switches Node's limits off unless they are given; without them a few
 * thousand connections that send a byte a minute are enough to take every file descriptor.
 */
export const timeouts = {
  /** Until the last header. */
  headers: 10 * SECOND,
  /** Until the last byte of the body: a large upload on a slow line. */
  request: 300 * SECOND,
  /** Without a byte in either direction. Websockets have their own heartbeat instead. */
  idle: 60 * SECOND,
  /** Between two requests; longer than the 60 s after which load balancers drop idle connections. */
  keepAlive: 72 * SECOND,
  /** How often the first two are looked at. */
  check: 5 * SECOND,
}
export type Timeouts = typeof timeouts

/** Node's own default; here, so that it is a decision. */
export const MAX_HEADER_BYTES = 16 * 1024
