type Silence = {
  by: 'block' | 'mute' | 'threadMute'
  table: string
  /**
   * SQL condition on a row `x` of the table: true if it silences an actor or the thread of a post for a user. The
   * arguments are SQL; `post` is an id.
   */
  holds(user: string, actor: string, post: string): string
}

/** The only list of rules by which one user's settings silence another user or a thread. The first match is the reason. */
const silences: Silence[] = [
  {
    by: 'block',
    table: 'social.blocks',
    holds: (user, actor) => `x.user_id = ${user} and x.other_id = ${actor}`,
  },
  {
    by: 'block',
    table: 'social.blocks',
    holds: (user, actor) => `x.user_id = ${actor} and x.other_id = ${user}`,
  },
  {
    by: 'mute',
    table: 'social.mutes',
    holds: (user, actor) => `x.user_id = ${user} and x.other_id = ${actor} and coalesce(x.until > now(), true)`,
  },
  {
    by: 'threadMute',
    table: 'social.thread_mutes',
    holds: (user, _actor, post) => `x.user_id = ${user} and x.post_id = ${post}`,
  },
]

/** `post`: id of the post whose thread it is; null for another thread. */
type Who = { user: string; actor: string; post: string }

/** SQL: the post of a thread key, `post:9`; null for another one. */
export function postOf(thread: string): string {
  return `substring(${thread} from '^post:(\\d{1,18})$')::bigint`
}

/** SQL condition that nothing silences the pair. The planner can use anti-joins. */
export function unsilenced(who: Who): string {
  return noneOf(silences, who)
}

/** SQL condition that neither user blocks the other. */
export function unblocked(user: string, other: string): string {
  return noneOf(
    silences.filter(({ by }) => by === 'block'),
    { user, actor: other, post: '' },
  )
}

function noneOf(some: Silence[], { user, actor, post }: Who): string {
  return some
    .map(({ table, holds }) => `not exists (select from ${table} x where ${holds(user, actor, post)})`)
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

/** SQL rows `w` (user_id, actor_id) with `what` silences them. */
export const silencedPairs = silences
  .filter(({ by }) => by !== 'threadMute')
  .map(
    ({ by, table, holds }) =>
      `select w.*, '${by}' as what from w join ${table} x on ${holds('w.user_id', 'w.actor_id', '')}`,
  )
  .join(' union all ')

/** SQL rows `w` (user_id, post_id) whose thread the user has muted. */
export const mutedThreads = silences
  .filter(({ by }) => by === 'threadMute')
  .map(({ table, holds }) => `select w.* from w join ${table} x on ${holds('w.user_id', '', 'w.post_id')}`)
  .join(' union all ')
