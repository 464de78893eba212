import type pg from 'pg'
import { unblocked } from '../../notify/rules/silences.ts'
import { authorColumns, type Post, type PostRow, postColumns, toPost } from './view.ts'

/**
 * Finds posts with all words of the text, newest first, older than the post `before`. The last word matches as a prefix.
 * Uses full text instead of trigrams: a quarter of the index size, a third of the time per new post, words of one letter, and
 * all scripts even in the C locale. `simple` fits any language.
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

/** Size of the newest part that is searched first. A word that occurs in one of twenty posts fills a page from it. */
const RECENT = 500

/**
 * SQL of the query. Null, which matches nothing, if the text has no word. Built as text, because only so can the last word
 * become a prefix.
 */
const query = `(nullif(plainto_tsquery('simple', $4::text)::text, '') || ':*')::tsquery`
const older = 'p.id < coalesce($2::bigint, 9223372036854775807)'
const matches = `to_tsvector('simple', p.body) @@ ${query} and ${unblocked('$1::bigint', 'p.author_id')}`

/**
 * Finds frequent words among the newest posts, and others by index posts_by_words. That index has no order, so its few
 * results are sorted; frequent words rarely get this far. `offset 0` keeps the planner from walking all posts in order,
 * and from reading the ids of all older ones.
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
