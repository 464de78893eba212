/** Whether someone signed in to the account from the network $2. */
export const isKnown = 'exists (select from social.sessions s where s.user_id = u.id and s.network = $2)'

/**
 * The account that the username or address $1 means to someone in the network $2. Several may have claimed an address: it belongs
 * to the one who verified it, before that to the one who signed in from this network before, or else to the first who claimed it.
 */
export const namedByLogin = `
  from social.users u
  where (u.username = $1 or lower(u.email) = lower($1)) and u.deleted_at is null
  order by u.email_verified_at is null, ${isKnown} desc, u.id limit 1`
