import type pg from 'pg'
import type { Queryable } from '../../db/client.ts'
import { fail } from '../../errors.ts'
import { unblocked } from '../../notify/rules/silences.ts'
import type { Comment } from '../../protocol/comment.ts'
import { authorColumns } from '../posts/view.ts'
import { type CommentRow, commentColumns, toComment } from './view.ts'

/** @throws {AppError} COMMENT_NOT_FOUND when it is unknown or deleted */
export async function getComment(db: Queryable, commentId: string): Promise<Comment> {
  const { rows } = await db.query<CommentRow>({
    name: 'get_comment',
    text: `select ${commentColumns}, ${authorColumns} from social.comments c join social.users u on u.id = c.author_id
           where c.id = $1 and c.deleted_at is null`,
    values: [commentId],
  })
  if (!rows[0]) throw fail('COMMENT_NOT_FOUND')
  return toComment(rows[0])
}

/**
 * One level of a post's comments, oldest first, after the comment `after`: the top level, or the replies to `parentId`.
 * A deleted comment appears without its text as long as a reply below it exists. Omits authors whom a block hides from
 * the viewer.
 * @throws {AppError} POST_NOT_FOUND; COMMENT_NOT_FOUND when the post has no such parent
 */
export async function listComments(
  pool: pg.Pool,
  viewerId: string,
  list: { postId: string; parentId: string | undefined; after: string | null; limit: number },
): Promise<Comment[]> {
  await requireThread(pool, viewerId, list.postId, list.parentId)
  const { rows } = await pool.query<CommentRow>({
    name: list.parentId === undefined ? 'list_comments' : 'list_replies',
    text: `select ${commentColumns}, ${authorColumns} from social.comments c join social.users u on u.id = c.author_id
           where c.post_id = $1 and c.id > coalesce($2::bigint, 0)
             and c.parent_id ${list.parentId === undefined ? 'is null' : '= $5'}
             and ${unblocked('$4::bigint', 'c.author_id')}
             and (c.deleted_at is null or ${hasVisibleReply})
           order by c.parent_id, c.id limit $3`, // in the order of index comments_of_post, so that a page never reads other posts' comments
    values: [list.postId, list.after, list.limit, viewerId, ...(list.parentId === undefined ? [] : [list.parentId])],
  })
  return rows.map(toComment)
}

/** A condition on `social.comments c`. Descends through deleted replies until it finds one that is not deleted. */
export const hasVisibleReply = `exists (
  with recursive below as (
    select r.id, r.deleted_at from social.comments r where r.post_id = c.post_id and r.parent_id = c.id
    union all
    select r.id, r.deleted_at from below b
    cross join lateral (
      select r.id, r.deleted_at from social.comments r
      where r.post_id = c.post_id and r.parent_id = b.id offset 0 -- not to become a hash of all replies
    ) r
    where b.deleted_at is not null
  )
  select from below where deleted_at is null)`

async function requireThread(
  pool: pg.Pool,
  viewerId: string,
  postId: string,
  parentId: string | undefined,
): Promise<void> {
  const { rows } = await pool.query<{ parentFound: boolean }>({
    name: 'require_thread',
    text: `select $2::bigint is null or exists (select from social.comments c where c.id = $2 and c.post_id = p.id) as "parentFound"
           from social.posts p where p.id = $1 and p.deleted_at is null and ${unblocked('$3::bigint', 'p.author_id')}`,
    values: [postId, parentId, viewerId],
  })
  if (!rows[0]) throw fail('POST_NOT_FOUND')
  if (!rows[0].parentFound) throw fail('COMMENT_NOT_FOUND')
}
