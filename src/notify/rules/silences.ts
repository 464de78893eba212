type Silence = {
  by: 'block' | 'mute' | 'threadMute'
  table: string
  /**
   * SQL condition on a row `x` of the table: true if it silences an actor or the thread of a post for a user. The
   * arguments are SQL; `post` is an id.
   */
  holds(user: string, actor: string, post: string): string
  /** SQL condition on a row `x`: true at least if it silences the actor or the thread for any of these users. Read by an index. */
  mayHold(users: UserRange, actor: string, post: string): string
}

/** The least and the greatest id of some users, in SQL. */
type UserRange = { first: string; last: string }

/** The only list of rules by which one user's settings silence another user or a thread. The first match is the reason. */
const silences: Silence[] = [
  {
    by: 'block',
    table: 'social.blocks',
    holds: (user, actor) => `x.user_id = ${user} and x.other_id = ${actor}`,
    mayHold: ({ first, last }, actor) => `x.other_id = ${actor} and x.user_id between ${first} and ${last}`,
  },
  {
    by: 'block',
    table: 'social.blocks',
    holds: (user, actor) => `x.user_id = ${actor} and x.other_id = ${user}`,
    mayHold: ({ first, last }, actor) => `x.user_id = ${actor} and x.other_id between ${first} and ${last}`,
  },
  {
    by: 'mute',
    table: 'social.mutes',
    holds: (user, actor) => `x.user_id = ${user} and x.other_id = ${actor} and coalesce(x.until > now(), true)`,
    mayHold: ({ first, last }, actor) => `x.other_id = ${actor} and x.user_id between ${first} and ${last}`,
  },
  {
    by: 'threadMute',
    table: 'social.thread_mutes',
    holds: (user, _actor, post) => `x.user_id = ${user} and x.post_id = ${post}`,
    mayHold: ({ first, last }, _actor, post) => `x.post_id = ${post} and x.user_id between ${first} and ${last}`,
  },
]

/** `post`: id of the post whose thread it is; null for another thread. */
type Who = { user: string; actor: string; post: string }

/** SQL: the post of a thread key, `post:9`; null for another one. */
export function postOf(thread: string): string {
  return `substring(${thread} from '^post:(\\d{1,18})$')::bigint`
}

/**
 * SQL condition that nothing silences the pair, for one actor, one thread and any of these users. A statement looks once whether a rule
 * may apply to any of them, and only then for each. Anti-joins took 2 of 19 µs per recipient; 112 of 133 µs where each rule silenced one
 * user in a hundred, because every recipient was compared with all of them. `limit 1` keeps the planner from hashing them.
 */
export function unsilenced(users: UserRange, { user, actor, post }: Who): string {
  return silences
    .map(
      ({ table, holds, mayHold }) => `((select not exists (select from ${table} x where ${mayHold(users, actor, post)}))
        or (select true from ${table} x where ${holds(user, actor, post)} limit 1) is null)`,
    )
    .join(' and ')
}

/** SQL condition that neither user blocks the other. The planner can use anti-joins. */
export function unblocked(user: string, other: string): string {
  return silences
    .filter(({ by }) => by === 'block')
    .map(({ table, holds }) => `not exists (select from ${table} x where ${holds(user, other, '')})`)
    .join(' and ')
}

/** SQL statement: pairs `<user> <other>` from two lists of ids in which one blocks the other. */
export function blockedPairs(users: string, others: string): string {
  return `select user_id || ' ' || other_id as pair from social.blocks where user_id = any(${users}) and other_id = any(${others})
    union all
    select other_id || ' ' || user_id from social.blocks where other_id = any(${users}) and user_id = any(${others})`
}

/** SQL expression: the reason for silence, or null. */
export function silencedBy({ user, actor, post }: Who): string {
  const cases = silences.map(
    ({ by, table, holds }) => `when exists (select from ${table} x where ${holds(user, actor, post)}) then '${by}'`,
  )
  return `case ${cases.join(' ')} end`
}

/** SQL rows `w` (user_id, actor_id, post_id) with `what` silences the actor or the thread of the post for the user. */
export const silencedRows = silences
  .map(
    ({ by, table, holds }) =>
      `select w.*, '${by}' as what from w join ${table} x on ${holds('w.user_id', 'w.actor_id', 'w.post_id')}`,
  )
  .join(' union all ')
