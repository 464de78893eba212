const SECOND = 1000

/** Close codes after which the client does not reconnect, because its protocol differs from the server's. */
export const REFUSED_CODES = [1002, 1007, 1009, 4400]
export const SIGNED_OUT = 4403
export const BAD_TOKEN = 4401
export const TOO_MANY = 4429

/**
 * Milliseconds until the next attempt. Always random, so that the clients of a failed node do not reconnect at the same moment.
 */
export function waitAfter(code: number, failures: number): number {
  if (code === TOO_MANY) return (60 + 60 * Math.random()) * SECOND
  const longest = code === 1001 ? 5 * SECOND : SECOND / 2
  return Math.random() * Math.min(30 * SECOND, longest * 2 ** failures)
}
