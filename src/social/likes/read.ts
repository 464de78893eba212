import type pg from 'pg'
import { cutPage, decodeCursor } from '../../http/paging.ts'
import { unblocked } from '../../notify/rules/silences.ts'
import { requireVisiblePost } from '../posts/read.ts'
import { toUser, type User, type UserRow, userColumns } from '../users/view.ts'

type List = { viewerId: string; postId: string; limit: number; cursor: string | undefined }

/**
 * Users who like a post, latest like first, by index likes_of_post. Likes of one batch have the same time and are
 * ordered by user id.
 * @throws {AppError} POST_NOT_FOUND when it is unknown or deleted, or its author hidden from the viewer by a block
 */
export async function listLikers(
  pool: pg.Pool,
  { viewerId, postId, limit, cursor }: List,
): Promise<{ items: User[]; nextCursor: string | null }> {
  await requireVisiblePost(pool, viewerId, postId)
  const [micros = null, before = null] = decodeCursor(cursor, 2) ?? []
  const { rows } = await pool.query<UserRow & { micros: string }>({
    name: 'list_likers',
    text: `select (extract(epoch from l.created_at) * 1000000)::bigint as micros, ${userColumns('$1::bigint')}
           from social.likes l
           join social.users u on u.id = l.user_id and u.deleted_at is null
           where l.post_id = $2
             and (l.created_at, l.user_id) < (
               coalesce(timestamptz 'epoch' + $3::bigint * interval '1 microsecond', 'infinity'), coalesce($4::bigint, 0))
             and ${unblocked('$1::bigint', 'l.user_id')}
           order by l.created_at desc, l.user_id desc limit $5`,
    values: [viewerId, postId, micros, before, limit + 1],
  })
  const { items, nextCursor } = cutPage(rows, limit, (last) => [last.micros, last.id])
  return { items: items.map(({ micros: _, ...row }) => toUser(row)), nextCursor }
}
