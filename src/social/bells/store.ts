import type pg from 'pg'

type Bell = { userId: string; authorId: string }

/**
 * Subscribes the user to all posts of the author. False when one of them does not exist or blocks the other (see
 * ../follows/write.ts).
 */
export async function switchOn(pool: pg.Pool, { userId, authorId }: Bell): Promise<boolean> {
  const { rowCount } = await pool.query({
    name: 'switch_bell_on',
    text: `with existing as materialized (
             select a.id as author_id, u.id as user_id from social.users a, social.users u
             where a.id = $1::bigint and a.deleted_at is null and u.id = $2::bigint and u.deleted_at is null for key share
           )
           insert into social.bells (author_id, user_id)
           select author_id, user_id from existing where not social.either_blocks(author_id, user_id)
           on conflict (author_id, user_id) do update set created_at = bells.created_at`,
    values: [authorId, userId],
  })
  return rowCount === 1
}

/** Ends a subscription. False when the author does not exist. */
export async function switchOff(pool: pg.Pool, { userId, authorId }: Bell): Promise<boolean> {
  const { rowCount } = await pool.query({
    name: 'switch_bell_off',
    text: `with gone as (
             delete from social.bells where author_id = $1::bigint and user_id = $2::bigint)
           select from social.users where id = $1::bigint and deleted_at is null`,
    values: [authorId, userId],
  })
  return rowCount === 1
}

/** Ends the subscriptions between two users in both directions. */
export async function endBells(client: pg.ClientBase, userId: string, otherId: string): Promise<void> {
  await client.query(
    'delete from social.bells where (author_id, user_id) in (($1::bigint, $2::bigint), ($2::bigint, $1::bigint))',
    [userId, otherId],
  )
}
