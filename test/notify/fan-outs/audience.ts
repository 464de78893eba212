import type pg from 'pg'

export const AUTHOR = '1'

/** Inserts the first users of a fresh database: an author, and this many subscribers. */
export async function fillAudience(pool: pg.Pool | pg.Client, size: number): Promise<void> {
  await pool.query(
    `insert into social.users (username, email, password_hash, display_name)
     select 'user_' || i, 'user_' || i || '@example.org', '!', 'User ' || i from generate_series(1, $1::int + 1) i`,
    [size],
  )
  await pool.query('insert into notify.inbox (user_id) select id from social.users')
  await pool.query('insert into social.bells (author_id, user_id) select $1, id from social.users where id <> $1', [
    AUTHOR,
  ])
  await pool.query('vacuum analyze social.users, social.bells, notify.inbox')
}
