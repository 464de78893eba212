/** The content of an event is invalid. Only this event is set aside, not its batch. */
export class EventContentError extends Error {}

/**
 * SQLSTATE classes of connections and resources: every statement fails with them regardless of its rows, and may
 * succeed later. 08 connection, 25 transaction state, 26 prepared statement lost by a pooler, 28 and 3D connecting, 40
 * rollback, 53 resources, 55 lock timeout, 57 shutdown or cancel. Not 58 and XX: a damaged page or a missing file
 * concerns its own rows (PostgreSQL manual, "Error Codes").
 */
const transientClasses = new Set(['08', '25', '26', '28', '3D', '40', '53', '55', '57'])

/** Messages and system codes of a broken connection. pg gives some of these errors no code. */
const lostConnection =
  /^(E[A-Z]{3,}$|timeout exceeded when trying to connect|Query read timeout|Connection terminated|Client (has encountered|was closed)|Cannot use a pool)/

/** Whether an error concerns connections or resources: no row causes it, and a retry may succeed. */
export function isTransient(error: unknown): boolean {
  const code = sqlState(error)
  return (
    transientClasses.has(code.slice(0, 2)) || lostConnection.test(code || (error instanceof Error ? error.message : ''))
  )
}

/**
 * Whether a single event or row may cause the error: any error that is not transient, such as data and constraints (22,
 * 23), a trigger's exception (P0001), a missing privilege (42501), a damaged page (XX001), and errors of our own rules.
 * The batch is then split until the failing item is alone.
 */
export function isContentError(error: unknown): boolean {
  return !isTransient(error) && !isMissingPartition(error)
}

/** Whether a statement timed out or was cancelled (57014 query_canceled). A smaller batch may succeed. */
export function isTimeout(error: unknown): boolean {
  return sqlState(error) === '57014' || (error instanceof Error && error.message === 'Query read timeout')
}

/** Whether a lock was not granted within its timeout (55P03 lock_not_available). */
export function isLockTimeout(error: unknown): boolean {
  return sqlState(error) === '55P03'
}

/**
 * Whether a row matched no partition: a check violation (23514) without a constraint. It disappears once a partition is
 * created.
 */
export function isMissingPartition(error: unknown): boolean {
  return (
    sqlState(error) === '23514' && error instanceof Error && 'constraint' in error && error.constraint === undefined
  )
}

/** The SQLSTATE of an error, a system error code, or an empty string. */
export function sqlState(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
}

/** Whether the error is a unique_violation of this constraint or index. */
export function violates(error: unknown, constraint: string): boolean {
  return (
    error instanceof Error &&
    'code' in error &&
    error.code === '23505' &&
    'constraint' in error &&
    error.constraint === constraint
  )
}

/** Delays between attempts, in any unit of time. `factor`: growth with each failure, 2 by default. */
export type Backoff = { first: number; longest: number; factor?: number }

/** The delay after this many earlier failures: exponential, from `first` to `longest`. */
export function backoff({ first, longest, factor = 2 }: Backoff, earlier: number): number {
  return Math.min(longest, first * factor ** earlier)
}

/** The same as SQL. `earlier`: an expression for the number of earlier failures. */
export function sqlBackoff({ first, longest, factor = 2 }: Backoff, earlier: string): string {
  return `least(${longest}, ${first} * power(${factor}, least(${earlier}, 20)))`
}

/** SQL that lengthens or shortens a delay by up to a quarter, to spread simultaneous failures. */
export function sqlJitter(delay: string): string {
  return `${delay} * (0.75 + random() / 2)`
}
