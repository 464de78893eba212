import type pg from 'pg'
import type { Comment } from './comment.ts'

/**
 * A comment that was added, edited or deleted. `age`: seconds since that change. `emptied`: deleted, but kept because it has
 * replies.
 */
export type ChangedComment = {
  id: string
  postId: string
  authorId: string
  postAuthorId: string
  state: 'shown' | 'emptied' | 'gone'
  /** Time of the latest edit, for comparison. */
  updatedAt: string
  age: number
}

/** A new post; `age` in seconds. */
export type NewPost = { id: string; authorId: string; age: number }

/** How the push role reads watched content: one statement for all watchers of a process. */
export type LiveContent = {
  /** Comments of these posts that appeared, were edited or deleted within the last seconds; none of deleted posts. */
  changedComments(pool: pg.Pool, watched: { postId: string; seconds: number }[]): Promise<ChangedComment[]>
  /** Comments as lists show them, by id. */
  comments(pool: pg.Pool, ids: string[]): Promise<Map<string, Comment>>
  /** Posts that appeared within the last seconds, latest first. */
  newPosts(pool: pg.Pool, seconds: number): Promise<NewPost[]>
  /** The deleted ones among these posts. */
  deletedPosts(pool: pg.Pool, ids: string[]): Promise<string[]>
  /** Pairs `<viewer> <author>` of which one blocks the other. */
  blocked(pool: pg.Pool, viewers: string[], authors: string[]): Promise<Set<string>>
  /** Pairs `<viewer> <author>` of which the viewer follows the author. */
  followed(pool: pg.Pool, viewers: string[], authors: string[]): Promise<Set<string>>
}
