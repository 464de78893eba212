/** What is wrong with the content of an event: it is set aside, never the batch it came in. */
export class EventContentError extends Error {}

/**
 * SQLSTATE classes of connections and resources: every statement fails with them, whatever its rows, and the same one may
 * succeed a moment later. 08 connection, 25 transaction state (a standby, an idle timeout), 26 a prepared statement that a pooler lost, 28 and 3D
 * connecting, 40 rollback, 53 resources, 55 prerequisites (a lock not had in time), 57 intervention (shutdown, cancelled).
 * Not 58 and XX: a damaged page or a missing file concerns the rows in it (PostgreSQL manual, "Error Codes").
 */
const transientClasses = new Set(['08', '25', '26', '28', '3D', '40', '53', '55', '57'])

/** What the system says of a broken connection, and pg, which gives it no code. */
const lostConnection =
  /^(E[A-Z]{3,}$|timeout exceeded when trying to connect|Query read timeout|Connection terminated|Client (has encountered|was closed)|Cannot use a pool)/

/** Whether an error is about connections or resources: nobody's rows are at fault, and the same may succeed later. */
export function isTransient(error: unknown): boolean {
  const code = sqlState(error)
  return (
    transientClasses.has(code.slice(0, 2)) || lostConnection.test(code || (error instanceof Error ? error.message : ''))
  )
}

/**
 * Whether an error may be the fault of a single event or row: everything that is not transient. That is data and constraints
 * (22, 23), an exception of somebody's trigger (P0001), a missing privilege (42501), a damaged page (XX001), and what our own rules stumble over.
 * Such a batch is taken apart until what fails alone is known; its neighbours go on.
 */
export function isContentError(error: unknown): boolean {
  return !isTransient(error) && !isMissingPartition(error)
}

/** Whether a statement took too long or was cancelled (57014 query_canceled). A smaller batch may do. */
export function isTimeout(error: unknown): boolean {
  return sqlState(error) === '57014' || (error instanceof Error && error.message === 'Query read timeout')
}

/** Whether a lock was not given within its timeout (55P03 lock_not_available). */
export function isLockTimeout(error: unknown): boolean {
  return sqlState(error) === '55P03'
}

/** Whether a row found no partition: a check violation (23514) without a constraint. It passes once a partition is made. */
export function isMissingPartition(error: unknown): boolean {
  return (
    sqlState(error) === '23514' && error instanceof Error && 'constraint' in error && error.constraint === undefined
  )
}

/** The SQLSTATE of an error, a code of the system, or an empty string. */
export function sqlState(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
}

/** unique_violation of this constraint or index. */
export function violates(error: unknown, constraint: string): boolean {
  return (
    error instanceof Error &&
    'code' in error &&
    error.code === '23505' &&
    'constraint' in error &&
    error.constraint === constraint
  )
}
