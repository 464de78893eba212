import { blockedPairs } from '../notify/rules/silences.ts'
import type { ChangedComment, LiveContent, NewPost } from '../protocol/live-content.ts'
import { hasVisibleReply } from './comments/read.ts'
import { type CommentRow, commentColumns, toComment } from './comments/view.ts'
import { authorColumns } from './posts/view.ts'

/** Maximum changes of the whole database that one statement examines. */
const MOST_CHANGES = 20_000

/**
 * The earliest time for each watched post, in SQL. `$1`: seconds by post id, as JSON, which avoids a join. `$2`: their maximum.
 */
const sinceOf = (row: string) => `now() - make_interval(secs => ($1::jsonb ->> ${row}.post_id::text)::float8)`
const longest = 'now() - make_interval(secs => $2::float8)'

/**
 * The reads of push nodes for watched posts and comments. Each function runs one statement for all watchers of a
 * process. It finds new rows through the primary key: from the newest down to the first that is too old.
 */
export const live: LiveContent = {
  async changedComments(pool, watched) {
    const { rows } = await pool.query<ChangedComment>({
      name: 'live_comments',
      text: `
        with recursive written as materialized (
          select c.id, c.post_id, c.parent_id, c.created_at as at, false as is_deleted from social.comments c
          where c.id > ${newestBefore('social.comments', longest)} and c.created_at > ${sinceOf('c')}
          order by c.id desc limit ${MOST_CHANGES}
        ),
        deleted as materialized (
          select c.id, c.post_id, c.parent_id, c.deleted_at as at, true as is_deleted from social.comments c
          where c.deleted_at > ${longest} and c.deleted_at > ${sinceOf('c')}
          order by c.deleted_at desc limit ${MOST_CHANGES}
        ),
        edited as materialized (
          select c.id, c.post_id, c.parent_id, c.updated_at as at, false as is_deleted from social.comments c
          where c.updated_at > c.created_at and c.updated_at > ${longest} and c.updated_at > ${sinceOf('c')}
          order by c.updated_at desc limit ${MOST_CHANGES}
        ),
        changed as (
          select * from (select * from written union all select * from deleted union all select * from edited) x
          union
          -- A deleted parent goes with its last reply.
          select p.id, p.post_id, p.parent_id, x.at, true from changed x
          cross join lateral (
            select c.id, c.post_id, c.parent_id, c.deleted_at from social.comments c
            where c.id = x.parent_id offset 0 -- by the primary key, not by the index of deleted comments
          ) p
          where x.is_deleted and p.deleted_at is not null
        )
        select c.id, c.post_id as "postId", c.author_id as "authorId", p.author_id as "postAuthorId",
          case when c.deleted_at is null then 'shown' when ${hasVisibleReply} then 'emptied' else 'gone' end as state,
          c.updated_at::text as "updatedAt",
          extract(epoch from clock_timestamp() - x.at)::float8 as age
        from (select id, max(at) as at from changed group by id) x
        join social.comments c on c.id = x.id
        join social.posts p on p.id = c.post_id and p.deleted_at is null
        order by c.id`,
      values: [
        JSON.stringify(Object.fromEntries(watched.map(({ postId, seconds }) => [postId, seconds]))),
        Math.max(...watched.map(({ seconds }) => seconds)),
      ],
    })
    return rows
  },

  async comments(pool, ids) {
    const { rows } = await pool.query<CommentRow>({
      name: 'live_comments_shown',
      text: `select ${commentColumns}, ${authorColumns}
             from social.comments c join social.users u on u.id = c.author_id where c.id = any($1::bigint[])`,
      values: [ids],
    })
    return new Map(rows.map((row) => [row.id, toComment(row)]))
  },

  async newPosts(pool, seconds) {
    const since = 'now() - make_interval(secs => $1::float8)'
    const { rows } = await pool.query<NewPost>({
      name: 'live_posts',
      text: `select p.id, p.author_id as "authorId", extract(epoch from clock_timestamp() - p.created_at)::float8 as age
             from social.posts p
             where p.id > ${newestBefore('social.posts', since)} and p.created_at > ${since} and p.deleted_at is null
             order by p.id desc limit ${MOST_CHANGES}`,
      values: [seconds],
    })
    return rows
  },

  async deletedPosts(pool, ids) {
    const { rows } = await pool.query<{ id: string }>({
      name: 'live_posts_deleted',
      text: `select w.id from unnest($1::bigint[]) w (id)
             where not exists (select from social.posts p where p.id = w.id and p.deleted_at is null)`,
      values: [ids],
    })
    return rows.map(({ id }) => id)
  },

  async blocked(pool, viewers, authors) {
    const text = blockedPairs('$1::bigint[]', '$2::bigint[]')
    const { rows } = await pool.query<{ pair: string }>({ name: 'live_blocks', text, values: [viewers, authors] })
    return new Set(rows.map(({ pair }) => pair))
  },

  async followed(pool, viewers, authors) {
    const { rows } = await pool.query<{ pair: string }>({
      name: 'live_follows',
      text: `select follower_id || ' ' || followee_id as pair from social.follows
             where follower_id = any($1::bigint[]) and followee_id = any($2::bigint[])`,
      values: [viewers, authors],
    })
    return new Set(rows.map(({ pair }) => pair))
  },
}

/** Rows with an explicit time, such as imported ones, that may be among the latest. */
const OUT_OF_ORDER = 1000

/** An expression for an id below which every row is older than `time`. The primary key is read from there. */
function newestBefore(table: string, time: string): string {
  return `coalesce((select o.id from ${table} o where o.created_at < ${time} order by o.id desc offset ${OUT_OF_ORDER} limit 1), 0)`
}
