import type { Static } from '@sinclair/typebox'
import type { Comment, Mention } from '../../protocol/comment.ts'
import { mentionsColumn } from '../posts/mentions.ts'
import { type AuthorRow, toAuthor } from '../posts/view.ts'

/** The columns of a comment, for statements over `social.comments c`. */
export const commentColumns = `c.id, c.post_id as "postId", c.parent_id as "parentId", c.body, c.reply_count as "replyCount",
  c.created_at as "createdAt", c.updated_at as "updatedAt", ${mentionsColumn('c')}`

export type CommentRow = AuthorRow & {
  id: string
  postId: string
  parentId: string | null
  body: string
  mentions: Static<typeof Mention>[]
  replyCount: number
  createdAt: Date
  updatedAt: Date
}

export function toComment(row: CommentRow): Comment {
  const { id, postId, parentId, body, mentions, replyCount } = row
  const [createdAt, updatedAt] = [row.createdAt.toISOString(), row.updatedAt.toISOString()]
  return { id, postId, parentId, author: toAuthor(row), body, mentions, replyCount, createdAt, updatedAt }
}
