import { type Static, Type } from '@sinclair/typebox'
import { type ActorRow, toActor } from '../../notify/inbox/view.ts'
import { Mention } from '../../protocol/comment.ts'
import { Actor } from '../../protocol/notification.ts'
import { MediaOfPost, mediaOfPostColumn } from '../media/view.ts'
import { mentionsColumn } from './mentions.ts'

const text = Type.String()
const time = Type.String({ format: 'date-time' })

export const Post = Type.Object({
  id: text,
  author: Actor,
  body: text,
  mentions: Type.Array(Mention, { description: 'Users named with @username in the text' }),
  media: Type.Array(MediaOfPost, { description: 'At most 4, in the order of the author' }),
  likeCount: Type.Integer(),
  commentCount: Type.Integer({ description: 'Comments and replies' }),
  createdAt: time,
  updatedAt: Type.String({ format: 'date-time', description: 'Time of the last edit' }),
  viewer: Type.Object(
    { liked: Type.Boolean(), bookmarked: Type.Boolean(), muted: Type.Boolean() },
    { description: 'What the caller did with it' },
  ),
})
export type Post = Static<typeof Post>

/** The columns of an author, for statements over `social.users u`. */
export const authorColumns = `u.id as "authorId", u.username, u.display_name as "displayName", u.avatar_media_id as "avatarMediaId",
  u.avatar_url as "avatarUrl"`

export type AuthorRow = Omit<ActorRow, 'id'> & { authorId: string }

export function toAuthor({ authorId, username, displayName, avatarMediaId, avatarUrl }: AuthorRow): Actor {
  return toActor({ id: authorId, username, displayName, avatarMediaId, avatarUrl })
}

/** The columns of a post, for statements over `social.posts p` whose `$1` is the viewer. */
export const postColumns = `p.id, p.body, p.like_count as "likeCount", p.comment_count as "commentCount",
  p.created_at as "createdAt", p.updated_at as "updatedAt",
  exists (select from social.likes l where l.post_id = p.id and l.user_id = $1) as liked,
  exists (select from social.bookmarks b where b.post_id = p.id and b.user_id = $1) as bookmarked,
  exists (select from social.thread_mutes m where m.user_id = $1 and m.post_id = p.id) as muted,
  ${mentionsColumn('p')}, ${mediaOfPostColumn}`

export type PostRow = AuthorRow & {
  id: string
  body: string
  likeCount: number
  commentCount: number
  createdAt: Date
  updatedAt: Date
  liked: boolean
  bookmarked: boolean
  muted: boolean
  mentions: Static<typeof Mention>[]
  media: Static<typeof MediaOfPost>[]
}

export function toPost(row: PostRow): Post {
  return {
    id: row.id,
    author: toAuthor(row),
    body: row.body,
    mentions: row.mentions,
    media: row.media,
    likeCount: row.likeCount,
    commentCount: row.commentCount,
    createdAt: row.createdAt.toISOString(),
    updatedAt: row.updatedAt.toISOString(),
    viewer: { liked: row.liked, bookmarked: row.bookmarked, muted: row.muted },
  }
}
