/** SQL: true if the account has signed in from the network $2. */
export const isKnown = 'exists (select from social.sessions s where s.user_id = u.id and s.network = $2)'

/**
 * Finds the account of the username or address $1 for a client in the network $2. Several accounts may claim an
 * address. It belongs to the one that verified it, otherwise to one that signed in from this network before, otherwise
 * to the first.
 */
export const namedByLogin = `
  from social.users u
  where (u.username = $1 or lower(u.email) = lower($1)) and u.deleted_at is null
  order by u.email_verified_at is null, ${isKnown} desc, u.id limit 1`
