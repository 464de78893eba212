import { type Static, Type } from '@sinclair/typebox'
import { Actor } from './notification.ts'

const text = Type.String()
const time = Type.String({ format: 'date-time' })
const offset = 'in UTF-16 code units, as in JavaScript strings'

export const Mention = Type.Object({
  id: Type.String({ description: 'Of the user' }),
  username: Type.String({ description: 'As it is now; the text has the name of then' }),
  start: Type.Integer({ description: `Where the @ is, ${offset}` }),
  end: Type.Integer({ description: `Behind the name, ${offset}` }),
})

/** A comment, in REST and on the socket. */
export const Comment = Type.Object({
  id: text,
  postId: text,
  parentId: Type.Unsafe<string | null>({ type: ['string', 'null'] }),
  author: Actor,
  /** Empty when the comment was deleted and is kept only for its replies. */
  body: text,
  mentions: Type.Array(Mention),
  replyCount: Type.Integer(),
  createdAt: time,
  updatedAt: time,
})
export type Comment = Static<typeof Comment>
