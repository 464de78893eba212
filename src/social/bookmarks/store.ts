import type pg from 'pg'
import { build, run } from '../../db/kysely.ts'
import { fail } from '../../errors.ts'
import { cutPage, decodeCursor } from '../../http/paging.ts'
import { unblocked } from '../../notify/rules/silences.ts'
import { requirePost } from '../posts/read.ts'
import { authorColumns, type Post, type PostRow, postColumns, toPost } from '../posts/view.ts'

/**
 * Bookmarks a post. Idempotent.
 * @throws {AppError} POST_NOT_FOUND
 */
export async function addBookmark(pool: pg.Pool, userId: string, postId: string): Promise<void> {
  const { rows } = await pool.query({
    name: 'add_bookmark',
    // The lock makes a deletion of the post wait, so that its clean-up finds the row.
    text: `with visible as (select p.id from social.posts p
                  where p.id = $2 and p.deleted_at is null and ${unblocked('$1::bigint', 'p.author_id')} for key share),
                kept as (insert into social.bookmarks (user_id, post_id) select $1, id from visible on conflict do nothing)
           select id from visible`,
    values: [userId, postId],
  })
  if (rows.length === 0) throw fail('POST_NOT_FOUND')
}

/**
 * Removes a bookmark.
 * @throws {AppError} POST_NOT_FOUND
 */
export async function removeBookmark(pool: pg.Pool, userId: string, postId: string): Promise<void> {
  await requirePost(pool, postId)
  await run(pool, build.deleteFrom('social.bookmarks').where('userId', '=', userId).where('postId', '=', postId))
}

/** Lists a user's bookmarked posts, latest bookmark first. */
export async function listBookmarks(
  pool: pg.Pool,
  userId: string,
  limit: number,
  cursor: string | undefined,
): Promise<{ items: Post[]; nextCursor: string | null }> {
  const [before] = decodeCursor(cursor, 1) ?? []
  const { rows } = await pool.query<PostRow & { bookmarkId: string }>({
    name: 'list_bookmarks',
    text: `select b.id as "bookmarkId", ${postColumns}, ${authorColumns}
           from social.bookmarks b
           join social.posts p on p.id = b.post_id and p.deleted_at is null and ${unblocked('$1::bigint', 'p.author_id')}
           join social.users u on u.id = p.author_id
           where b.user_id = $1 and b.id < coalesce($2::bigint, 9223372036854775807)
           order by b.id desc limit $3`,
    values: [userId, before, limit + 1],
  })
  const { items, nextCursor } = cutPage(rows, limit, (last) => [last.bookmarkId])
  return { items: items.map(toPost), nextCursor }
}
