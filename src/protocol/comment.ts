import { type Static, Type } from '@sinclair/typebox'
import { Actor } from './notification.ts'
import { textOrNull } from './nullable.ts'

const text = Type.String()
const time = Type.String({ format: 'date-time' })
const offset = 'in UTF-16 code units, as in JavaScript strings'

export const Mention = Type.Object({
  id: Type.String({ description: 'Id of the user' }),
  username: Type.String({ description: 'Current username; the text contains the username at the time of writing' }),
  start: Type.Integer({ description: `Start of the mention (the @), ${offset}`, examples: [6] }),
  end: Type.Integer({ description: `End of the mention, exclusive, ${offset}`, examples: [10] }),
})

/** A comment, in REST and on the socket. */
export const Comment = Type.Object({
  id: text,
  postId: text,
  parentId: textOrNull('Id of the comment it replies to', { examples: [null] }),
  author: Actor,
  body: Type.String({ description: 'Empty when the comment was deleted and is kept only for its replies' }),
  mentions: Type.Array(Mention),
  replyCount: Type.Integer({ description: 'Direct replies' }),
  createdAt: time,
  updatedAt: Type.String({ format: 'date-time', description: 'Time of the last edit' }),
})
export type Comment = Static<typeof Comment>
