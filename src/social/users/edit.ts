import type pg from 'pg'
import { inTransaction } from '../../db/transaction.ts'
import { fail } from '../../errors.ts'
import { setAvatar } from '../media/use.ts'

export type ProfileChange = { displayName?: string; bio?: string; avatarMediaId?: string | null }

/** @throws {AppError} USER_NOT_FOUND when the account was deleted; MEDIA_NOT_USABLE */
export async function editProfile(
  pool: pg.Pool,
  userId: string,
  { displayName, bio, avatarMediaId }: ProfileChange,
): Promise<void> {
  await inTransaction(pool, async (client) => {
    const { rowCount } = await client.query(
      `update social.users set display_name = coalesce($2, display_name), bio = coalesce($3, bio)
       where id = $1::bigint and deleted_at is null`,
      [userId, displayName ?? null, bio ?? null],
    )
    if (rowCount === 0) throw fail('USER_NOT_FOUND')
    if (avatarMediaId !== undefined) await setAvatar(client, userId, avatarMediaId)
  })
}
