/** Whom a broadcast goes to. `sql`: a select of user ids. What a rule consists of is the business of whoever compiles it. */
export type Audience<Rule = unknown> = { everyone: true } | { rule: Rule } | { sql: string }

/**
 * An audience as one SQL condition over `social.users u` and `notify.inbox i`, never null. Adds its parameters to `values`, whose first
 * ones belong to the caller.
 */
export type CompileAudience = (audience: Audience, values: unknown[]) => string
