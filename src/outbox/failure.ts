/** What is wrong with the content of an event: it is set aside, never the batch it came in. */
export class EventContentError extends Error {}

/**
 * Whether an error is the fault of content: SQLSTATE classes 22 (data) and 23 (constraints), our own checks, and what our
 * rules stumble over for not expecting it, which is no reason either to hold up those who come after.
 */
export function isContentError(error: unknown): boolean {
  const code = sqlState(error)
  const stumbled = error instanceof TypeError || error instanceof RangeError
  return error instanceof EventContentError || stumbled || code.startsWith('22') || code.startsWith('23')
}

/** Whether a lock was not given within its timeout (55P03 lock_not_available). */
export function isLockTimeout(error: unknown): boolean {
  return sqlState(error) === '55P03'
}

function sqlState(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
}
