import type pg from 'pg'
import { messageOf } from '../../errors.ts'

/**
 * The recipients of a broadcast. `sql`: a select of user ids. `rule`: checked and compiled by the caller's functions.
 */
export type Audience<Rule = unknown> = { everyone: true } | { rule: Rule } | { sql: string }

/**
 * An audience as one SQL condition over `social.users u` and `notify.inbox i`, never null. Adds its parameters to `values`, whose first
 * ones belong to the caller.
 */
export type CompileAudience = (audience: Audience, values: unknown[]) => string

/** Kinds of errors that a value of a row causes, by SQLSTATE. */
const kinds: Record<string, string> = {
  '21000': 'a subquery returned more than one row',
  '22003': 'a number is out of range',
  '22007': 'a value is not a date or time',
  '22008': 'a date or time is out of range',
  '22012': 'division by zero',
  '22P02': 'a value does not have the form of its type',
}

/**
 * The message of a query that failed, without values of rows: PostgreSQL quotes them in errors that occur while it reads
 * rows, such as `invalid input syntax for type bigint: "ana@example.org"`. Errors with a position in the query concern its text;
 * that of a value, such as a type name in a column, has a second line of context.
 */
export function faultOfQuery(error: pg.DatabaseError): string {
  const { code = '', position, internalPosition, where = '', routine } = error
  const isOurs = routine === 'exec_stmt_raise'
  const isOfText = (position || internalPosition) && !where.includes('\n')
  if (isOfText || isOurs || valueless.test(code)) return messageOf(error)
  return `The query fails while it runs: ${kinds[code] ?? 'an error'} (SQLSTATE ${code})`
}

/** Errors of rights, of time and of read-only transactions. Their messages contain names at most. */
const valueless = /^(42501|57014|25006)$/
