import type pg from 'pg'
import type { Queryable } from '../../db/client.ts'
import { build, run } from '../../db/kysely.ts'
import { fail } from '../../errors.ts'
import { unblocked } from '../../notify/rules/silences.ts'
import { authorColumns, type Post, type PostRow, postColumns, toPost } from './view.ts'

export type Scope = 'all' | 'following' | 'user'

/** @throws {AppError} POST_NOT_FOUND when it is unknown or deleted, or its author hidden from the viewer by a block */
export async function getPost(db: Queryable, viewerId: string, postId: string): Promise<Post> {
  const { rows } = await db.query<PostRow>({
    name: 'get_post',
    text: `select ${postColumns}, ${authorColumns} from social.posts p join social.users u on u.id = p.author_id
           where p.id = $2 and p.deleted_at is null and ${unblocked('$1::bigint', 'p.author_id')}`,
    values: [viewerId, postId],
  })
  if (!rows[0]) throw fail('POST_NOT_FOUND')
  return toPost(rows[0])
}

/** Lists posts newest first, older than the post `before`: those of all users, of users the viewer follows, or of one user. */
export async function listPosts(
  pool: pg.Pool,
  viewerId: string,
  list: { scope: Scope; userId: string | undefined; before: string | null; limit: number },
): Promise<Post[]> {
  const { rows } = await pool.query<PostRow>({
    name: `list_posts_${list.scope}`,
    text: `with page as materialized (${pageOf[list.scope]})
           select ${postColumns}, ${authorColumns} from page p join social.users u on u.id = p.author_id order by p.id desc`,
    values: [viewerId, list.before, list.limit, ...(list.scope === 'user' ? [list.userId] : [])],
  })
  return rows.map(toPost)
}

/** SQL condition of a page. Without a cursor it begins above all ids. */
const older = `p.deleted_at is null and p.id < coalesce($2::bigint, 9223372036854775807)`

/** Viewers who follow more than MANY users first search the RECENT newest posts of all users. */
const MANY = 500
const RECENT = 2000

const pageOf: Record<Scope, string> = {
  all: `select p.* from social.posts p where ${older} and ${unblocked('$1::bigint', 'p.author_id')} order by p.id desc limit $3`,
  user: `select p.* from social.posts p where p.author_id = $4 and ${older} order by p.id desc limit $3`,
  // A viewer who follows many users usually finds a page among the newest posts. Otherwise, one index lookup per
  // followed user finds the authors with the newest posts. Only posts of as many authors as a page has posts are read,
  // so the cost does not depend on how much others post.
  following: `
    with recent as materialized (
      select p.* from (select p.* from social.posts p where ${older} order by p.id desc limit ${RECENT}) p
      where (select count(*) > ${MANY} from (select from social.follows where follower_id = $1 limit ${MANY + 1}) f)
        and exists (select from social.follows f where f.follower_id = $1 and f.followee_id = p.author_id)
      order by p.id desc limit $3
    )
    select * from recent where (select count(*) from recent) = $3
    union all
    select * from (
      select p.* from (
        select f.followee_id from social.follows f
        cross join lateral (
          select p.id from social.posts p where p.author_id = f.followee_id and ${older} order by p.id desc limit 1
        ) newest
        where f.follower_id = $1 order by newest.id desc limit $3
      ) author
      cross join lateral (
        select p.* from social.posts p where p.author_id = author.followee_id and ${older} order by p.id desc limit $3
      ) p
      order by p.id desc limit $3
    ) p
    where (select count(*) from recent) < $3`,
}

/** @throws {AppError} POST_NOT_FOUND when it is unknown or deleted */
export async function requirePost(pool: pg.Pool, postId: string): Promise<void> {
  const found = await run(
    pool,
    build.selectFrom('social.posts').select('id').where('id', '=', postId).where('deletedAt', 'is', null),
  )
  if (found.count === 0) throw fail('POST_NOT_FOUND')
}

/** @throws {AppError} POST_NOT_FOUND when it is unknown or deleted, or its author hidden from the viewer by a block */
export async function requireVisiblePost(pool: pg.Pool, viewerId: string, postId: string): Promise<void> {
  const { rows } = await pool.query(
    `select from social.posts p where p.id = $2 and p.deleted_at is null and ${unblocked('$1::bigint', 'p.author_id')}`,
    [viewerId, postId],
  )
  if (rows.length === 0) throw fail('POST_NOT_FOUND')
}

/**
 * Checks that the viewer may see a user.
 * @throws {AppError} USER_NOT_FOUND when the user is unknown, deleted, or hidden from the viewer by a block
 */
export async function requireUser(pool: pg.Pool, userId: string, viewerId: string): Promise<void> {
  const { rows } = await pool.query(
    `select from social.users u where u.id = $1::bigint and u.deleted_at is null and ${unblocked('$2::bigint', 'u.id')}`,
    [userId, viewerId],
  )
  if (rows.length === 0) throw fail('USER_NOT_FOUND')
}
