import type pg from 'pg'
import { unblocked } from '../../notify/rules/silences.ts'
import { authorColumns, type Post, type PostRow, postColumns, toPost } from './view.ts'

/**
 * Posts that have all words of the text, of the last one the beginning is enough; newest first, older than the post `before`.
 *
 * Full text rather than trigrams, measured with 300,000 posts on PostgreSQL 15 and 18: a quarter of the index (36 MB, not 146), a
 * third of the time for a new post, words of one and two letters, and all scripts, while a database in the C locale has no
 * trigrams of Cyrillic or Chinese. `simple` because posts are of many languages.
 */
export async function searchPosts(
  pool: pg.Pool,
  viewerId: string,
  { text, before, limit }: { text: string; before: string | null; limit: number },
): Promise<Post[]> {
  const { rows } = await pool.query<PostRow>({
    name: 'search_posts',
    text: statement,
    values: [viewerId, before, limit, text],
  })
  return rows.map(toPost)
}

/** A word that is in one post of twenty fills a page from so many. */
const RECENT = 500

/** Null, which nothing matches, where the text has no word. The query as text: only so can its last word become a prefix. */
const query = `(nullif(plainto_tsquery('simple', $4::text)::text, '') || ':*')::tsquery`
const older = 'p.id < coalesce($2::bigint, 9223372036854775807)'
const matches = `to_tsvector('simple', p.body) @@ ${query} and ${unblocked('$1::bigint', 'p.author_id')}`

/**
 * Frequent words are found among the newest posts, others by index posts_by_words. That has no order, so what it finds is sorted:
 * little, since a frequent word does not come so far. `offset 0` keeps the planner from walking all posts in their order
 * instead, and from reading the ids of all older ones.
 */
const statement = `
  with recent as materialized (
    select p.* from (select p.* from social.posts p where p.deleted_at is null and ${older} order by p.id desc limit ${RECENT}) p
    where ${matches} order by p.id desc limit $3
  ), page as materialized (
    select * from recent where (select count(*) from recent) = $3
    union all
    select * from (
      select p.* from (select p.* from social.posts p where p.deleted_at is null and ${matches} offset 0) p
      where ${older} order by p.id desc limit $3
    ) p where (select count(*) from recent) < $3
  )
  select ${postColumns}, ${authorColumns} from page p join social.users u on u.id = p.author_id order by p.id desc`
