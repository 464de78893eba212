/**
 * The recipients of a broadcast. `sql`: a select of user ids. `rule`: checked and compiled by the caller's functions.
 */
export type Audience<Rule = unknown> = { everyone: true } | { rule: Rule } | { sql: string }

/**
 * An audience as one SQL condition over `social.users u` and `notify.inbox i`, never null. Adds its parameters to `values`, whose first
 * ones belong to the caller.
 */
export type CompileAudience = (audience: Audience, values: unknown[]) => string
